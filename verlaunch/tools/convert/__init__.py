"""Reward models that --reward_model cannot take as they were published."""
