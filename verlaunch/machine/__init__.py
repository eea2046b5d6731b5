"""This computer: what it has, what runs on it, and that nothing of a run is left behind."""
