"""Many machines, one run: node 0 leads, the others join it, and all of them end together."""
