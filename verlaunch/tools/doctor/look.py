"""What every check gets and gives: this machine as the run of these flags would use it, and a line.

Patient(machine.look(), host.look(), "cpu", config, Path("outputs"), cache_dir(), env)
Line("disk", LOOK, "12 MB/s at /mnt/nfs", ("Name a local disk: --output_dir FOLDER",))
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from verlaunch.config.tree import Config
from verlaunch.machine.hardware import Machine
from verlaunch.machine.host import Host

OK, LOOK, BAD = "ok", "look", "BAD"
ORDER = (OK, LOOK, BAD)
Say = Callable[[str], None]  # what is being done now, for the live line


@dataclass(frozen=True)
class Patient:
    """env: what every process of a run has. quick: measure less."""

    machine: Machine
    host: Host
    hardware: str
    config: Config
    folder: Path
    cache: Path
    env: Mapping[str, str]
    quick: bool = False

    @property
    def on_gpus(self) -> bool:
        return self.hardware == "gpu"

    @property
    def ranks(self) -> int:
        """GPUs, or two processes: the least that has to talk to each other."""
        return max(1, len(self.machine.gpus)) if self.on_gpus else 2


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


def enough(is_so: bool, seen: str, remedy: str) -> Part:
    """Fine, or to be looked at."""
    return Part(seen) if is_so else Part(seen, LOOK, remedy)


def together(name: str, parts: Sequence[Part], facts: dict[str, Any] | None = None) -> Line:
    """One line with the worst verdict, the remedies in order, and what is not ok said first."""
    ranked = sorted(parts, key=lambda part: -ORDER.index(part.verdict))
    remedies = dict.fromkeys(part.remedy for part in ranked if part.remedy)
    seen = "; ".join(part.seen for part in ranked if part.seen)
    return Line(name, ranked[0].verdict, seen, tuple(remedies), facts or {})
