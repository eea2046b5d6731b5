"""What a part of the check hands back, and how it says that it cannot.

Piece("demo", "learns", 150, learns)          # learns(check) -> Found, or raises
raise Skip("flash-attn is not installed")     # a row that is no failure
raise Failure("grad_norm is nan in step 2")   # a row that is one; the next piece goes on
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gpu_check.check import Check

PASSED, FAILED, SKIPPED = "passed", "FAILED", "skipped"


class Failure(Exception):
    """Its text is the row's."""


class Skip(Exception):
    """Its text is the reason."""


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
