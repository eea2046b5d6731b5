"""How the rule for maths reads: where the answer is, what it says, and when two are equal."""
