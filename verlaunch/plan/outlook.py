"""All that is known of a run before it starts; None for what a mistake hides.

    outlook = foresee(Asked(config, machine, command))
    outlook.problems   ->  ("--tp_size 3 must divide --n_gpus 8 ...",)

Plain data: what a start takes (launch/start.py), and what rows.py, page.py and document.py show.
"""

from dataclasses import dataclass, field

from rewards.spec import RewardSpec
from verlaunch.cluster.place import Place
from verlaunch.config.derive import Facts
from verlaunch.config.tree import Config
from verlaunch.errors import Finding, stopping, warnings
from verlaunch.inputs.choice import Sources
from verlaunch.inputs.data.look import Look
from verlaunch.inputs.data.prepare import Prepared
from verlaunch.inputs.models import Model
from verlaunch.plan.asked import Asked
from verlaunch.plan.memory.expected import Memory, Sizes
from verlaunch.plan.reward.trial.trial import Trial
from verlaunch.plan.sizes import Plan
from verlaunch.record.checkpoints.resume import Resume


@dataclass(frozen=True)
class Outlook:
    """findings: the run starts when none of them stops it.

    config: with no number left open where there is a plan. prepared: the data of a start, which has
    counted every row. trial, prompt: of a dry run; the latter as its tokens decode. place: of this
    machine among several.
    critic: None when it starts from the policy's model, or there is none.
    """

    asked: Asked
    config: Config
    findings: tuple[Finding, ...] = ()
    model: Model | None = None
    critic: Model | None = None
    sources: Sources | None = None
    look: Look | None = None
    prepared: Prepared | None = None
    sizes: Sizes = field(default_factory=lambda: Sizes(None))
    facts: Facts | None = None
    spec: RewardSpec | None = None
    plan: Plan | None = None
    memory: Memory | None = None
    resume: Resume = field(default_factory=lambda: Resume(None))
    trial: Trial | None = None
    prompt: str | None = None
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

    @property
    def data_sources(self) -> dict[str, int]:
        """Rows by label, as far as they have been read."""
        read = self.prepared or self.look
        return read.data_sources if read else {}
