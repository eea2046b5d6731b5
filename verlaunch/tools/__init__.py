"""Beside training: each folder is one command of cli.py, each command.py its door."""
