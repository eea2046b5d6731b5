"""Doing it: the run's folder, its processes, its screen, and why it ended."""
