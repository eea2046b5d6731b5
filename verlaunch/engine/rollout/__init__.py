"""Prompts in, scored responses out: vLLM, its servers, and a step's rows; rollout.py is first."""
