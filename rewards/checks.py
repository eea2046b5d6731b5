"""What a reward function may return: one finite number, or a dict with a "score" of them and texts.

    check(1)                               # {"score": 1.0}
    check({"score": 0.5, "format": True})  # {"score": 0.5, "format": 1.0}
    check({"score": 1, "pred": "42"})      # {"score": 1.0, "pred": "42"}
    check(None)                            # BadReward: the reward is None; a number is needed

Names of parts are not compared between rows here; `rewards.tally` keeps them stable.
"""

import math
from collections.abc import Mapping
from contextlib import suppress
from numbers import Real
from typing import Any

FAILED = "reward_failed"  # the key that every row gets
LONGEST_TEXT = 2000  # characters of a text beside the score; it is for reading


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


def split(scores: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, str]]:
    """Numbers, which become curves, and texts, which samples keep."""
    texts = {key: value for key, value in scores.items() if isinstance(value, str)}
    return {key: value for key, value in scores.items() if key not in texts}, texts


def _part(name: str, given: Any) -> float | str:
    if isinstance(given, str) and name != "score":
        return str(given)[:LONGEST_TEXT]
    return _number(repr(name), given)


def check(result: Any) -> dict[str, Any]:
    """{"score": ..., other parts}: finite floats, and texts beside them. Raises BadReward."""
    if not isinstance(result, dict):
        return {"score": _number("the reward", result)}
    if "score" not in result:
        there = ", ".join(map(str, result)) or "nothing"
        raise BadReward(f"the reward has no key 'score', only: {there}")
    if FAILED in result:
        raise BadReward(f"the key {FAILED!r} is the launcher's own; name yours otherwise")
    return {str(key): _part(str(key), part) for key, part in result.items()}
