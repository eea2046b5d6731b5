"""What is good: rules that score a response, chosen by `data_source`, and a user's own function.

    from rewards.registry import rule_for
    rule_for("math_reasoning")("math_reasoning", "6 * 7 = 42", "42")  # {"score": 1.0, ...}

Nothing here imports torch, ray, verl or hydra: a reward can be tried on any laptop.
"""
