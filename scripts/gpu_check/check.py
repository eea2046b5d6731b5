"""What all parts share: the check and its time, the runs already made, and what a part hands back.

Piece("demo", "learns", 150, learns)          # learns(check) -> Found, or raises
raise Skip("flash-attn is not installed")     # a row that is no failure
raise Failure("grad_norm is nan in step 2")   # a row that is one; the next piece goes on
check.kept("0.5B, ours", lambda: timed(check, "0.5B"))    # made once, also where it failed
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from gpu_check.sizes import Profile

PASSED, FAILED, SKIPPED = "passed", "FAILED", "skipped"
Made = TypeVar("Made")


class Failure(Exception):
    """Its text is the row's."""


class Skip(Exception):
    """Its text is the reason."""


@dataclass(frozen=True)
class Check:
    """until: time.monotonic() at which everything, or now a piece, has to be over."""

    profile: Profile
    folder: Path
    until: float
    made: dict[str, Any] = field(default_factory=dict)

    @property
    def left_s(self) -> float:
        return self.until - time.monotonic()

    def within(self, budget_s: float) -> "Check":
        return replace(self, until=min(self.until, time.monotonic() + budget_s))

    def run_folder(self, name: str) -> Path:
        return self.folder / "runs" / name

    def kept(self, name: str, make: Callable[[], Made]) -> Made:
        """What `make` returned, or raised, the first time."""
        if name not in self.made:
            try:
                self.made[name] = make()
            except Exception as error:
                self.made[name] = error
        made = self.made[name]
        if isinstance(made, Exception):
            raise made
        return made


@dataclass(frozen=True)
class Found:
    said: str
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Piece:
    part: str
    name: str
    budget_s: float
    look: Callable[[Check], Found]


@dataclass(frozen=True)
class Row:
    part: str
    name: str
    state: str
    said: str
    seconds: float
    figures: dict[str, Any]
