"""Scoring outside training: what a run's reward says of known answers, and of a file's responses.

Nothing here imports torch, ray or verl; a reward model does, when a run has one.
"""
