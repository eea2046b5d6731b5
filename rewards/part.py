"""What rewards are made of: a row, a part that scores rows, and the ways in which it can fail.

    class Politeness(Part):
        async def score(self, row: Row) -> dict[str, float]:
            return {"score": float("please" in row.response)}

A part that cannot score a row raises Failure; `rewards.reward` counts it and scores the row by the
run's policy. What the model did wrong is a low score, never a Failure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """One finished response. messages: the prompt, [{"role": ..., "content": ...}].

    counts: False for a validation's, which moves no mean and no scale. opened: the prompt ended in
    an open <think>, so that the response begins as a thought.
    """

    data_source: str
    response: str
    ground_truth: Any = ""
    extra_info: dict[str, Any] | None = None
    messages: Sequence[dict[str, Any]] = ()
    counts: bool = True
    opened: bool = False


class Failure(Exception):
    """kind: one word for the counters; reason: one sentence.

    final: no later call can succeed either (a bad key, a spent budget); the run stops.
    """

    def __init__(self, kind: str, reason: str, final: bool = False) -> None:
        super().__init__(kind, reason, final)
        self.kind, self.reason, self.final = kind, reason, final


class CannotStart(Exception):
    """A part that would score nothing, or nonsense; the message says why and what mends it."""


class Mistakes(Exception):
    """problems: every one that the user made, a complete sentence each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


class Part:
    """Made cheaply; `start` does what costs. All calls come from one asyncio loop.

    keys: what `score` returns beside the score; None when only the first row can tell.
    floor: the lowest score there is, None when there is no lowest.
    """

    keys: tuple[str, ...] | None = None
    floor: float | None = None

    async def start(self) -> list[str]:
        """Loads, connects, and scores a good and a bad answer. Notes for the screen.

        Raises CannotStart.
        """
        return []

    async def score(self, row: Row) -> dict[str, Any]:
        """{"score": ..., other finite parts, texts that samples keep}. Raises Failure."""
        raise NotImplementedError

    def curves(self) -> dict[str, float]:
        """Counters and latencies of the run so far, by the name of their curve."""
        return {}

    async def close(self) -> None:
        """Ends what `start` began, whatever state it is in."""
