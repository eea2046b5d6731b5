"""What was asked for, and of which computer: what every look at a run begins with.

    asked = Asked(config, hardware.look(), "./train.sh --lr 1e-5")
    asked.folder    ->  PosixPath('/home/me/outputs')

Plain data from the configuration alone; what the disk says to it is foresight.py's.
"""

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from verlaunch.cluster.place import nodes_of
from verlaunch.config.compose import run_folder
from verlaunch.config.tree import Config
from verlaunch.inputs.choice import Inputs
from verlaunch.machine import host
from verlaunch.machine.hardware import Machine
from verlaunch.machine.host import Host
from verlaunch.plan.assumed import Assumed
from verlaunch.record import trackers


@dataclass(frozen=True)
class Asked:
    """config: as composed, with numbers left open. command: as typed, for command.sh. assumed:
    what `machine` is one of, where it is not this computer."""

    config: Config
    machine: Machine
    command: str = ""
    assumed: Assumed | None = None
    host: Host = field(default_factory=lambda: host.look())

    @property
    def launch(self) -> dict[str, Any]:
        return self.config.launch

    @property
    def inputs(self) -> Inputs:
        return Inputs(self.config)

    @property
    def folder(self) -> Path:
        return run_folder(self.config)

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def trackers(self) -> list[str]:
        return trackers.chosen(self.config.verl["trainer"]["logger"])

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(shlex.split(self.command))

    @property
    def is_several(self) -> bool:
        """Whether machines come together for this run; a guest's are in their cluster already."""
        return nodes_of(self.config) > 1 and not self.launch["ray_address"]
