"""Talking to a run's policy, before and after training, side by side.

Light: vLLM is imported by speaking.py, in the speakers' processes only.
"""
