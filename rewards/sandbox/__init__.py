"""Runs programs of a model's where they can do no harm, and says how they did."""

from rewards.sandbox.tiers import Tier, isolation, require_sandbox

__all__ = ["Tier", "isolation", "require_sandbox"]
