"""What is known of a run that has died, and what is made of it: plain data."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COUNTERS = Path("/proc/vmstat")


@dataclass(frozen=True)
class Ended:
    lines: Sequence[str]  # of the log, without Ray's prefix; those since the last finished step
    phase: str  # as the screen names it: "updating"
    died: dict[str, Any] | None  # the event of engine/deaths.py: process, pid
    exit_code: int  # 128 + the signal, or negative, for a process that was killed
    config: dict[str, Any] = field(default_factory=dict)  # verl's
    hardware: str = ""
    log: str = ""  # its path
    kernel_kills: int = 0  # processes that the kernel has ended for want of memory meanwhile


@dataclass(frozen=True)
class Explanation:
    name: str  # of the kind, as docs/failures.md has it
    cause: str  # one sentence: what ran out, was missing or broke, and where
    why: str  # what it means; may be empty
    todo: tuple[str, ...]  # the next things to type, best first

    def text(self) -> list[str]:
        """Lines for the last screen."""
        lines = [f"Cause: {self.cause}", *([self.why] if self.why else [])]
        words = ("Next:", *["  or:"] * len(self.todo))
        return lines + [f"{word} {todo}" for word, todo in zip(words, self.todo, strict=False)]


def kernel_kills() -> int:
    """How many processes the kernel has ended for want of memory since it started: they leave no
    word, and its own log is mostly for root alone. 0 where nothing counts them (no Linux)."""
    try:
        counters = dict(line.split() for line in COUNTERS.read_text().splitlines())
    except (OSError, ValueError):
        return 0
    return int(counters.get("oom_kill", 0))
