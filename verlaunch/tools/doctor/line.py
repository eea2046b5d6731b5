"""What one check has found: a verdict, what was seen, and what to type when it is not ok.

Line("disk", LOOK, "12 MB/s at /mnt/nfs", ("Name a local disk: --output_dir FOLDER",))
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

OK, LOOK, BAD = "ok", "look", "BAD"
ORDER = (OK, LOOK, BAD)


@dataclass(frozen=True)
class Line:
    """seen: with numbers. remedies: one at least unless ok. log: the last words of the process."""

    name: str
    verdict: str
    seen: str
    remedies: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)  # for the file alone
    log: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class Part:
    """One of the things that a check has looked at."""

    seen: str
    verdict: str = OK
    remedy: str = ""


def together(name: str, parts: Sequence[Part], facts: dict[str, Any] | None = None) -> Line:
    """One line with the worst verdict, the remedies in order, and what is not ok said first."""
    ranked = sorted(parts, key=lambda part: -ORDER.index(part.verdict))
    remedies = dict.fromkeys(part.remedy for part in ranked if part.remedy)
    seen = "; ".join(part.seen for part in ranked if part.seen)
    return Line(name, ranked[0].verdict, seen, tuple(remedies), facts or {})
