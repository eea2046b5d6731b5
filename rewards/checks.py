"""What a reward function may return: one finite number, or a dict of them with a "score".

    check(1)                               # {"score": 1.0}
    check({"score": 0.5, "format": True})  # {"score": 0.5, "format": 1.0}
    check(None)                            # BadReward: the reward is None; a number is needed

Names of parts are not compared between rows here; `rewards.tally` keeps them stable.
"""

import math
from contextlib import suppress
from numbers import Real
from typing import Any

FAILED = "reward_failed"  # the key that every row gets


class BadReward(ValueError):
    """The function returned something that is no reward."""


def _shown(given: Any) -> str:
    return "None" if given is None else f"a {type(given).__name__} ({str(given)[:40]!r})"


def _number(name: str, given: Any) -> float:
    if not isinstance(given, Real):
        with suppress(AttributeError, RuntimeError, TypeError, ValueError):
            given = given.item()  # a scalar of numpy or torch
    if not isinstance(given, Real):
        raise BadReward(f"{name} is {_shown(given)}; a number is needed")
    try:
        number = float(given)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise BadReward(f"{name} is {number}; a finite number is needed")
    return number


def check(result: Any) -> dict[str, float]:
    """The result as {"score": ..., other parts}, all finite floats. Raises BadReward."""
    if not isinstance(result, dict):
        return {"score": _number("the reward", result)}
    if "score" not in result:
        there = ", ".join(map(str, result)) or "nothing"
        raise BadReward(f"the reward has no key 'score', only: {there}")
    if FAILED in result:
        raise BadReward(f"the key {FAILED!r} is the launcher's own; name yours otherwise")
    return {str(key): _number(f"{key!r}", part) for key, part in result.items()}
