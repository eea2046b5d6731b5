"""The expected memory in one line, as rows of the plan and as JSON.

line(memory)   ->  "about 18.2 GiB of 24.0 GiB per GPU (actor update), ..."
rows(memory)   ->  [("main memory", "update 3.1 GB of 24 GB: ..."), ("disk", "...")]
"""

from dataclasses import asdict
from typing import Any

from verlaunch.machine import disk
from verlaunch.plan.memory.estimate import Estimate, Phase
from verlaunch.plan.memory.expected import Memory, Room
from verlaunch.text import GIB, gib

Rows = list[tuple[str, str]]
PARTS_SHOWN = 4  # of a phase, the largest first
LEAST = 0.05  # GiB


def _size(size: float) -> str:
    """Memory in GiB, as nvidia-smi and free count it; small parts as they are."""
    return gib(size) if size >= LEAST * GIB else disk.amount(size)


def _of(size: int, there: int | None) -> str:
    return _size(size) if there is None else f"{_size(size)} of {_size(there)}"


def _free(size: float, there: int | None) -> str:
    return disk.amount(size) + ("" if there is None else f" of {disk.amount(there)} free")


def line(memory: Memory) -> str:
    """For the start of a run; empty where nothing is known."""
    if memory.estimate is None:
        return ""
    found, room = memory.estimate, memory.room
    peak = found.gpu_peak
    said = [f"{_of(peak.bytes, room.gpu)} per GPU ({peak.name})"] if peak else []
    said.append(f"{_of(found.host_peak.bytes, room.host)} of main memory"
                + ("" if peak else f" ({found.host_peak.name})"))  # fmt: skip
    said.append(f"checkpoints {_free(found.disk.bytes, room.disk)}")
    return f"about {', '.join(said)}"


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
        f"{_free(kept.bytes, room.disk)}"
    )


def rows(memory: Memory) -> Rows:
    """Each phase of the fullest GPU; the peak of a node's main memory; shared memory; the disk."""
    found, room = memory.estimate, memory.room
    if found is None:
        return [("note", memory.note)] if memory.note else []
    said: Rows = _labelled("per GPU", _phases(found.gpu, room.gpu))
    said += _labelled("main memory", _phases(found.host, room.host))
    if found.kv_tokens is not None and memory.use is not None:
        said.append(("KV cache", _cache(found.kv_tokens, memory.use.length)))
    return [*said, ("/dev/shm", _free(found.shm, room.shm)), ("disk", _disk(found, room))]


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
