"""Runs programs of a model's where they can do no harm, and says how they did."""
