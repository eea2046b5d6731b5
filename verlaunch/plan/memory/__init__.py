"""The expected memory and disk of a run; estimate.py is where to begin."""
