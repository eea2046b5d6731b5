"""Everything that a guard may look at: plain data, so that a test can make any machine.

findings(NUMBERS, Scene(config, model, machine, host, folder, ...))
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from verlaunch.config.tree import Config
from verlaunch.inputs.models import Model
from verlaunch.machine.hardware import Machine
from verlaunch.machine.host import Host
from verlaunch.plan.memory.estimate import Estimate
from verlaunch.plan.memory.expected import Memory
from verlaunch.plan.memory.shape import Shape


@dataclass(frozen=True)
class Scene:
    config: Config  # with no number left open
    model: Model
    machine: Machine
    host: Host
    folder: Path  # of the run
    ray_gpus: int
    object_store_bytes: int
    env: Mapping[str, str]
    critic: Model | None = None  # None when it starts from the policy's model, or there is none
    shape: Shape | None = None  # None where the model's sizes are not known
    memory: Memory | None = None
    rows: int | None = None  # training prompts; None while they are not counted

    @property
    def models(self) -> list[tuple[str, Model]]:
        """The policy's, and the critic's own, by the flag that names them."""
        critic = [("--critic_model", self.critic)] if self.critic else []
        return [("--model", self.model), *critic]

    def share(self, variable: str, usual: float) -> float:
        """What a variable says in [0, 1]; the usual one where it is no number."""
        try:
            return float(self.env.get(variable, usual))
        except ValueError:
            return usual

    @property
    def estimate(self) -> Estimate | None:
        return self.memory.estimate if self.memory else None
