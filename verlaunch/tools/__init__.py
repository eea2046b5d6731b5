"""Beside training: try the machine, score, export, talk. Each folder is one command."""
