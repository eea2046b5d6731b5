"""Who is examined: this machine, as the run of these flags would use it.

Patient(machine.look(), host.look(), "cpu", config, Path("outputs"), cache_dir(), env)
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from verlaunch.config.tree import Config
from verlaunch.machine.hardware import Machine
from verlaunch.machine.host import Host

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
