"""verlaunch: train a language model with PPO from a JSON file of prompts and one command."""

__version__ = "0.1.0"
