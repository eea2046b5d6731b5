"""What an estimate is made of: named bytes, what lies in memory at the same time, the disk.

Phase("actor update", (Part("actor weights", 2 * 10**9), Part("logits", 3 * 10**9))).bytes
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    name: str  # "actor weights", "logits", "KV cache", ...
    bytes: int


@dataclass(frozen=True)
class Phase:
    """What lies in memory at the same time."""

    name: str  # on a GPU one of gpu.PHASES
    parts: tuple[Part, ...]

    @property
    def bytes(self) -> int:
        return total(self.parts)


@dataclass(frozen=True)
class Disk:
    checkpoint: int  # bytes of one
    kept: int  # checkpoints at the same time: those kept, the best, the one being written
    export: int  # the final Hugging Face folder

    @property
    def bytes(self) -> int:
        return self.checkpoint * self.kept + self.export


def total(parts: Sequence[Part]) -> int:
    return sum(part.bytes for part in parts)
