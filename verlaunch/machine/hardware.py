"""What this machine has, read without torch: cores and memory that we may use, and NVIDIA GPUs.

    look()  ->  Machine(cores=2, memory_gib=23.4, gpus=())

Containers and batch systems are heeded (cgroup limits, CUDA_VISIBLE_DEVICES). Left out on purpose:
other vendors' GPUs, and what changes from minute to minute (host.py).
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from verlaunch.machine import nvidia
from verlaunch.text import GIB

CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Gpu:
    name: str
    memory_gib: float
    uuid: str = ""


@dataclass(frozen=True)
class Machine:
    cores: int
    memory_gib: float
    gpus: tuple[Gpu, ...] = ()


def numbers(path: Path) -> list[float]:
    """The numbers of a limit file; none when it is not there or says "max"."""
    try:
        return [float(word) for word in path.read_text().split()]
    except (OSError, ValueError):
        return []


def _memberships() -> list[list[str]]:
    """Rows of number, controllers and path; version 2 of cgroups has one without controllers."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    return [line.split(":", 2) for line in lines]


def groups(controller: str) -> Iterator[Path]:
    """Folders of the cgroups that we are in, the root first: a container's limit is at the root, a
    Slurm job's further below. Some may not exist."""
    for _, controllers, path in _memberships():
        if controllers and controller not in controllers.split(","):
            continue
        folder = CGROUP / controller if controllers else CGROUP
        yield folder
        for name in filter(None, path.split("/")):
            yield (folder := folder / name)


def _cores() -> int:
    cores = len(os.sched_getaffinity(0))
    for group in groups("cpu"):
        # version 2 of cgroups, then version 1, where -1 is no limit
        old = [n for name in ("quota", "period") for n in numbers(group / f"cpu.cfs_{name}_us")]
        limit = numbers(group / "cpu.max") or old
        if len(limit) == 2 and limit[0] > 0:
            cores = min(cores, max(1, int(limit[0] / limit[1])))
    return cores


def _memory_gib() -> float:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    # version 2 of cgroups, then version 1
    names = ("memory.max", "memory.limit_in_bytes")
    limits = [n for group in groups("memory") for name in names for n in numbers(group / name)]
    return min([total, *limits]) / GIB


def visible(gpus: Sequence[Gpu], setting: str | None) -> tuple[Gpu, ...]:
    """What CUDA_VISIBLE_DEVICES leaves: indices or ids, up to the first that is none (as CUDA)."""
    if setting is None:
        return tuple(gpus)
    chosen: list[Gpu] = []
    for word in (part.strip() for part in setting.split(",")):
        named = [gpu for gpu in gpus if word and gpu.uuid.startswith(word)]
        numbered = [gpus[int(word)]] if word.isdigit() and int(word) < len(gpus) else []
        if not (numbered or named):
            break
        chosen += (numbered or named)[:1]
    return tuple(chosen)


def look() -> Machine:
    """Reads the machine; GPUs are those that `nvidia-smi` and CUDA_VISIBLE_DEVICES leave us."""
    memory_gib = _memory_gib()
    # A chip that shares the machine's memory shows none of its own.
    every = [Gpu(c.name, c.total / GIB or memory_gib, c.uuid) for c in nvidia.cards()[0]]
    gpus = visible(every, os.environ.get("CUDA_VISIBLE_DEVICES"))
    return Machine(_cores(), memory_gib, gpus)
