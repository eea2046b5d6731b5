"""What all parts share: the profile, the folder, the time that is left, and runs already made.

check.kept("0.5B, ours", lambda: timed(check, "0.5B"))    # made once, also where it failed
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from gpu_check.sizes import Profile

Made = TypeVar("Made")


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
