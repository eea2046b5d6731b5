"""The expected memory of a run, beside what there is: sizes of the models, --fit auto, estimate.

    sizes = sizes_of(model, critic)                  # asks a child process, once per model
    config, chosen = fitted(config, sizes, room)     # --fit auto
    memory = expected(config, sizes, room)
    memory.line()   ->  "peak 18.2 of 24.0 GiB per GPU (actor update); ..."

Left out on purpose: how much each part takes (verlaunch/memory/), and what to do about it
(memory/verdict.py).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from verlaunch import disk
from verlaunch.compose import Config, fill
from verlaunch.errors import UserError
from verlaunch.findings import Finding
from verlaunch.machine import GIB, Machine
from verlaunch.memory.estimate import Estimate, Phase, estimate
from verlaunch.memory.fit import Fit, fit
from verlaunch.memory.shape import Shape, shape_of
from verlaunch.memory.use import Use
from verlaunch.memory.verdict import NO_SINGLE, TIGHT, gib, problems
from verlaunch.models import Model

Rows = list[tuple[str, str]]
PARTS_SHOWN = 4  # of a phase, the largest first
LEAST = 0.05  # GiB


@dataclass(frozen=True)
class Sizes:
    """critic: None when it starts from the policy's model. note: why shape is None."""

    shape: Shape | None
    critic: Shape | None = None
    note: str = ""


@dataclass(frozen=True)
class Room:
    """What there is, in bytes. gpu: of the smallest card; None on the CPU. disk, shm: free."""

    gpu: int | None
    host: int
    disk: int
    shm: int | None

    @classmethod
    def of(cls, machine: Machine, hardware: str, folder: Path, shm: int | None) -> "Room":
        cards = [gpu.memory_gib for gpu in machine.gpus] if hardware == "gpu" else []
        gpu = int(min(cards) * GIB) if cards else None
        return cls(gpu, int(machine.memory_gib * GIB), disk.free(folder), shm)


@dataclass(frozen=True)
class Memory:
    """estimate: None where it is not known, as `note` says. said: of --fit auto.

    longest: tokens of a prompt and its response.
    """

    room: Room
    estimate: Estimate | None = None
    findings: tuple[Finding, ...] = ()
    said: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    longest: int = 0

    @property
    def for_guards(self) -> Estimate | None:
        """What `findings` have told of main memory is not told again."""
        found = self.estimate
        if found is None or found.host_peak.bytes <= self.room.host * TIGHT:
            return found
        return replace(found, host=())

    def line(self) -> str:
        """For the start of a run; empty where nothing is known."""
        if self.estimate is None:
            return ""
        found, room = self.estimate, self.room
        peak = found.gpu_peak
        said = [f"{_of(peak.bytes, room.gpu)} per GPU ({peak.name})"] if peak else []
        said.append(f"{_of(found.host_peak.bytes, room.host)} of main memory"
                    + ("" if peak else f" ({found.host_peak.name})"))  # fmt: skip
        said.append(f"checkpoints {disk.amount(found.disk.bytes)} of {disk.amount(room.disk)} free")
        return f"about {', '.join(said)}"


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
        return config, Fit({}, ())
    chosen = fit(config, sizes.shape, sizes.critic, room.gpu, room.host)
    return (fill(config, chosen.values) if chosen.values else config), chosen


def _has_room(config: Config, room: Room) -> bool:
    """--hardware gpu where no card is: a problem of its own."""
    return config.hardware == "cpu" or room.gpu is not None


def _estimated(
    config: Config, shape: Shape, sizes: Sizes, room: Room
) -> tuple[Use, Estimate] | None:
    """None where a value is none that can be counted with; which, guards/limits.py tells."""
    try:
        use = Use.of(config.verl, config.launch, config.hardware)
        return use, estimate(shape, sizes.critic, use, room.gpu)
    except (TypeError, ValueError, ArithmeticError, AttributeError):
        return None


def expected(config: Config, sizes: Sizes, room: Room, chosen: Fit) -> Memory:
    if sizes.shape is None or not _has_room(config, room):
        return Memory(room, note=sizes.note)
    known = _estimated(config, sizes.shape, sizes, room)
    if known is None:
        return Memory(room, note="memory is not estimated with these settings")
    use, found = known
    # Guards know the disks and /dev/shm better: what lies there already, and what system it is.
    wrong = problems(found, use, room.gpu, room.host, shm_free=None, disk_free=None)
    return Memory(room, found, _with_ways_out(wrong, chosen), chosen.said, chosen.values, "",
                  use.prompt_length + use.response_length)  # fmt: skip


def _with_ways_out(wrong: list[Finding], chosen: Fit) -> tuple[Finding, ...]:
    """Where no single setting helps: what --fit auto has found out beside."""
    ways = "" if chosen.values else " ".join(chosen.ways)
    return tuple(
        replace(one, text=f"{one.text} {ways}") if ways and NO_SINGLE in one.text else one
        for one in wrong
    )


# ---- as rows --------------------------------------------------------------------------------


def _size(size: float) -> str:
    """Memory in GiB, as nvidia-smi and free count it; small parts as they are."""
    return gib(size) if size >= LEAST * GIB else disk.amount(size)


def _of(size: int, there: int | None) -> str:
    return _size(size) if there is None else f"{_size(size)} of {_size(there)}"


def _phases(phases: tuple[Phase, ...], there: int | None) -> list[str]:
    """The fullest phase with its largest parts, then how much the others take."""
    if not phases:
        return []
    peak = max(phases, key=lambda phase: phase.bytes)
    others = [f"{p.name} {_size(p.bytes)}" for p in phases if p is not peak]
    said = [f"{peak.name} {_of(peak.bytes, there)}: {_parts(peak)}"]
    return said + ([", ".join(others)] if others else [])


def _parts(phase: Phase) -> str:
    """The largest parts, and how much the others are together."""
    largest = sorted(phase.parts, key=lambda part: -part.bytes)
    said = [f"{part.name} {_size(part.bytes)}" for part in largest[:PARTS_SHOWN]]
    rest = sum(part.bytes for part in largest[PARTS_SHOWN:])
    return ", ".join(said + ([f"the rest {_size(rest)}"] if rest else []))


def _labelled(label: str, lines: list[str]) -> Rows:
    return [(label if number == 0 else "", line) for number, line in enumerate(lines)]


def _disk(found: Estimate, room: Room) -> str:
    kept = found.disk
    export = f" + the final model {disk.amount(kept.export)}" if kept.export else ""
    return (
        f"{kept.kept} checkpoints of {disk.amount(kept.checkpoint)} at the same time{export} = "
        f"{disk.amount(kept.bytes)} of {disk.amount(room.disk)} free"
    )


def rows(memory: Memory) -> Rows:
    """Each phase of the fullest GPU; the peak of a node's main memory; shared memory; the disk."""
    found, room = memory.estimate, memory.room
    if found is None:
        return [("note", memory.note)] if memory.note else []
    shared = "" if room.shm is None else f" of {disk.amount(room.shm)} free"
    said: Rows = _labelled("per GPU", _phases(found.gpu, room.gpu))
    said += _labelled("main memory", _phases(found.host, room.host))
    if found.kv_tokens is not None:
        said.append(("KV cache", _cache(found.kv_tokens, memory.longest)))
    return [*said, ("/dev/shm", f"{disk.amount(found.shm)}{shared}"), ("disk", _disk(found, room))]


def _cache(tokens: int, longest: int) -> str:
    count = tokens // max(1, longest)
    whole = f"{count:,} sequence{'s' * (count != 1)} of full length"
    return f"{tokens:,} tokens in each vLLM replica: {whole} at the same time"


def facts(memory: Memory) -> dict[str, Any]:
    """For JSON: bytes everywhere."""
    found, room = memory.estimate, memory.room
    there: dict[str, Any] = {"room": asdict(room), "note": memory.note or None}
    if found is None:
        return {**there, "gpu": [], "host": [], "shm": None, "disk": None, "kv_tokens": None}
    kept = {**asdict(found.disk), "bytes": found.disk.bytes}
    gpu, host = ([_phase(p) for p in phases] for phases in (found.gpu, found.host))
    sizes = {"shm": found.shm, "disk": kept, "kv_tokens": found.kv_tokens}
    return {**there, "gpu": gpu, "host": host, **sizes}


def _phase(phase: Phase) -> dict[str, Any]:
    return {"phase": phase.name, "bytes": phase.bytes, "parts": [asdict(p) for p in phase.parts]}
