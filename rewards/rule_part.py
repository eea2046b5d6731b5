"""Scores rows, whatever the reward does: an exception, None, NaN, a hang or a crash is one counted
row, never a dead run and never a silent 0.

    guard = Guard("my_reward.py:score", timeout_s=30)
    result = await guard.score("math_reasoning", "so 42", "42", None)
    guard.too_many_failures()  # None, or the sentence to stop the run with

The built-in rules are bounded and run in this process; a user's function runs in a child that can
be killed. Made for an asyncio loop, which `score` never blocks.
"""

from collections.abc import Sequence
from typing import Any

from rewards.killable import Failure, Killable
from rewards.registry import UnknownDataSource, rule_for
from rewards.tally import Result, Tally
from rewards.user import BadReward, call, describe, resolve

__all__ = ["Guard", "Result"]


def _by_rule(data_source: str, *rest: Any) -> dict[str, float]:
    try:
        return call(rule_for(data_source), data_source, *rest)
    except UnknownDataSource as error:
        raise Failure("unknown_source", str(error)) from None
    except BadReward as error:
        raise Failure("bad_value", str(error)) from None
    except Exception as error:  # a ground truth that is no text, say
        raise Failure("exception", describe(error, None)) from None


class Guard:
    """spec: `path.py:function`, or None for the built-in rules. timeout_s: for one call.

    workers: child processes; a function that waits for a network deserves several.
    on_failure: what a failed row scores, "neutral" (the mean of the good rows so far) or a number.
    keys: the parts that every row shall have; without them the first good row fixes them.
    Raises LoadError at once when the file is missing; all later trouble is in the results.
    """

    def __init__(
        self,
        spec: str | None,
        *,
        timeout_s: float = 30.0,
        workers: int = 1,
        on_failure: str | float = "neutral",
        keys: Sequence[str] | None = None,
        load_timeout_s: float = 60.0,
    ) -> None:
        self._tally = Tally(keys, on_failure)
        self._children: list[Killable] = []
        if spec is not None:
            spec = resolve(spec)
            self._children = [Killable(spec, timeout_s, load_timeout_s) for _ in range(workers)]

    async def score(
        self, data_source: str, solution_str: str, ground_truth: Any, extra_info: dict | None
    ) -> Result:
        row = (str(data_source), solution_str, ground_truth, extra_info)
        try:
            if self._children:
                child = min(self._children, key=lambda child: child.waiting)
                return self._tally.good(await child.score(*row))
            return self._tally.good(_by_rule(*row))
        except Failure as failure:
            return self._tally.failed(failure.kind, failure.reason)

    @property
    def counters(self) -> dict[str, int]:
        """calls, failed, each kind of failure, dropped_parts and missing_parts."""
        return dict(self._tally.counters)

    @property
    def reasons(self) -> dict[str, str]:
        """The first reason of each kind of failure, with file and line where there is one."""
        return dict(self._tally.reasons)

    @property
    def keys(self) -> tuple[str, ...] | None:
        return self._tally.keys

    def too_many_failures(self) -> str | None:
        """A sentence when more than a fifth of the last 100 calls failed (20 calls at least)."""
        return self._tally.too_many()

    def close(self) -> None:
        """Ends the children, those that hang too."""
        for child in self._children:
            child.close()
