"""All that is known of a run before it starts; None for what a mistake hides.

    outlook = Start(config, machine, command).foresee()
    outlook.problems   ->  ("--tp_size 3 must divide --n_gpus 8 ...",)

Plain data, for the page of a dry run (page.py) and its JSON (document.py).
"""

from dataclasses import dataclass, field
from pathlib import Path

from rewards.spec import RewardSpec
from verlaunch.cluster.place import Place
from verlaunch.config.derive import Facts
from verlaunch.config.tree import Config
from verlaunch.errors import Finding, stopping, warnings
from verlaunch.inputs.data import Look
from verlaunch.inputs.models import Model
from verlaunch.machine.hardware import Machine
from verlaunch.plan.memory.expected import Memory
from verlaunch.plan.plan import Plan
from verlaunch.plan.reward.trial.trial import Trial
from verlaunch.record.checkpoints import Resume


@dataclass(frozen=True)
class Outlook:
    """findings: the run starts when none of them stops it. words: as typed.

    trial: of a dry run. place: of this machine among several. config: with no number left
    open where there is a plan.
    """

    config: Config
    machine: Machine
    folder: Path
    words: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
    model: Model | None = None
    look: Look | None = None
    facts: Facts | None = None
    spec: RewardSpec | None = None
    plan: Plan | None = None
    memory: Memory | None = None
    resume: Resume = field(default_factory=lambda: Resume(None))
    trial: Trial | None = None
    place: Place | None = None

    @property
    def problems(self) -> tuple[str, ...]:
        """Each with the way out."""
        return tuple(dict.fromkeys(stopping(self.findings)))

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(warnings(self.findings))

    @property
    def addresses(self) -> dict[int, str]:
        """Of the machines of the run that are known, by rank."""
        return {self.place.rank: self.place.address} if self.place else {}
