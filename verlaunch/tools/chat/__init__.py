"""Talking to a run's policy, before and after training, side by side.

voices    which two models                      speaker   a model in a process of its own (vLLM)
talk      conversations and slash commands      columns   two answers on one screen
words     flags and prompts                     command   ./train.sh chat

Light: vLLM is imported by engine/speaking.py, in the speakers' processes only.
"""
