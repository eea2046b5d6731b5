"""The processes that own Ray: a run's driver, another machine's node, a guest in a cluster."""
