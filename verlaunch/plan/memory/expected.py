"""The expected memory of a run, beside what there is: sizes of the models, --fit auto, estimate.

    sizes = sizes_of(model, critic)                  # asks a child process, once per model
    config, chosen = fitted(config, sizes, room)     # --fit auto
    memory = expected(config, sizes, room, chosen)
    memory.estimate.gpu_peak    ->  Phase("actor update", ...)

Numbers only, which rows.py puts into words and JSON. Left out on purpose: how much each part takes
(gpu.py, cpu.py), and what to do then (guards/memory_needed.py).
"""

from dataclasses import dataclass
from pathlib import Path

from verlaunch.config.compose import fill
from verlaunch.config.tree import Config
from verlaunch.errors import UserError
from verlaunch.inputs.models import Model
from verlaunch.machine import disk
from verlaunch.machine.hardware import Machine
from verlaunch.plan.memory.estimate import Estimate, estimate
from verlaunch.plan.memory.fit import Fit, fit
from verlaunch.plan.memory.shape import Shape, shape_of
from verlaunch.plan.memory.use import Use
from verlaunch.text import GIB

NOTHING = Fit({}, ())


@dataclass(frozen=True)
class Sizes:
    """critic: None when it starts from the policy's model. note: why shape is None."""

    shape: Shape | None
    critic: Shape | None = None
    note: str = ""


@dataclass(frozen=True)
class Room:
    """What there is, in bytes. gpu: of the smallest card; None on the CPU. disk, shm: free; None
    where nobody looked."""

    gpu: int | None
    host: int
    disk: int | None
    shm: int | None

    @classmethod
    def of(cls, machine: Machine, hardware: str, here: tuple[Path, int | None] | None) -> "Room":
        """here: the run's folder and the free /dev/shm; None for a machine that is elsewhere."""
        cards = [gpu.memory_gib for gpu in machine.gpus] if hardware == "gpu" else []
        gpu = int(min(cards) * GIB) if cards else None
        folder, shm = here or (None, None)
        free = disk.free(folder) if folder else None
        return cls(gpu, int(machine.memory_gib * GIB), free, shm)


@dataclass(frozen=True)
class Memory:
    """estimate, use: None where they are not known, as `note` says. prompt_tokens: about how long
    the data's own prompts are; None where nobody looked."""

    room: Room
    estimate: Estimate | None = None
    use: Use | None = None
    fit: Fit = NOTHING
    note: str = ""
    prompt_tokens: int | None = None


def sizes_of(model: Model, critic: Model | None) -> Sizes:
    """Never raises for a model that transformers does not know: then memory is not estimated."""
    try:
        own = shape_of(critic.config, critic.name) if critic else None
        return Sizes(shape_of(model.config, model.name), own)
    except UserError as error:
        return Sizes(None, note=f"memory is not estimated: {error}")


def fitted(config: Config, sizes: Sizes, room: Room) -> tuple[Config, Fit]:
    """With what --fit auto changes. `config`: with no number left open."""
    asked = config.launch["fit"] == "auto" and _has_room(config, room)
    if sizes.shape is None or not asked or _estimated(config, sizes.shape, sizes, room) is None:
        return config, NOTHING
    chosen = fit(config, sizes.shape, sizes.critic, room.gpu, room.host)
    return (fill(config, chosen.values) if chosen.values else config), chosen


def _has_room(config: Config, room: Room) -> bool:
    """--hardware gpu where no card is: a problem of its own."""
    return config.hardware == "cpu" or room.gpu is not None


def _estimated(
    config: Config, shape: Shape, sizes: Sizes, room: Room
) -> tuple[Use, Estimate] | None:
    """None where a value is none that can be counted with; which, guards/values_taken.py tells."""
    try:
        use = Use.of(config.verl, config.launch, config.hardware)
        return use, estimate(shape, sizes.critic, use, room.gpu)
    except (TypeError, ValueError, ArithmeticError, AttributeError):
        return None


def expected(
    config: Config, sizes: Sizes, room: Room, chosen: Fit, prompt_tokens: int | None = None
) -> Memory:
    if sizes.shape is None or not _has_room(config, room):
        return Memory(room, note=sizes.note)
    known = _estimated(config, sizes.shape, sizes, room)
    if known is None:
        return Memory(room, note="memory is not estimated with these settings")
    use, found = known
    return Memory(room, found, use, chosen, prompt_tokens=prompt_tokens)
