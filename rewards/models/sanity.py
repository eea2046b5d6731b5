"""Does a reward model score at all? One good and one bad answer are asked before a run.

    await check(score)   # (3.2, -1.1), or CannotStart with the reason

Left out on purpose: whether it scores well. Models for one field may not care about France.
"""

import math
from collections.abc import Awaitable, Callable

from rewards.part import CannotStart, Failure, Row

_PROMPT = ({"role": "user", "content": "What is the capital of France? Answer in one sentence."},)
GOOD = Row("check", "The capital of France is Paris.", "Paris", messages=_PROMPT)
BAD = Row("check", "idk lol banana banana banana go away", "Paris", messages=_PROMPT)
SAME = 1e-6  # of the larger one; rounding alone makes as much
SATURATED = 1e-3  # from 0 or 1: nothing is left there to tell answers apart


def problem(good: float, bad: float) -> str | None:
    """Why nothing can be learned from such scores."""
    if not (math.isfinite(good) and math.isfinite(bad)):
        return f"a score is not a finite number (good answer {good}, bad answer {bad})"
    if math.isclose(good, bad, rel_tol=SAME, abs_tol=1e-9):
        return f"a good and a bad answer get the same score ({good:g})"
    low, high = sorted((good, bad))
    if low >= 0 and high <= 1 and (high < SATURATED or low > 1 - SATURATED):
        return (
            f"scores are squeezed into 0 to 1 and say nothing there (good answer {good:g}, bad "
            f"answer {bad:g}): a sigmoid stands behind the model's head"
        )
    return None


async def check(score: Callable[[Row], Awaitable[float]]) -> tuple[float, float]:
    """The scores of the good and the bad answer. Raises CannotStart."""
    try:
        good, bad = await score(GOOD), await score(BAD)
    except Failure as failure:
        raise CannotStart(f"the reward model cannot score: {failure.reason}") from None
    why = problem(good, bad)
    if why:
        raise CannotStart(
            f"the reward model cannot be used: {why}. Give one that was trained to score answers."
        )
    return good, bad
