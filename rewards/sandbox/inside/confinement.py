"""What a program of the model's may use, and as whom it runs. Called in its process, before it.

become(Limits(cpu_s=10, memory_mib=1024), user=1000)
"""

import os
import resource
from dataclasses import dataclass

from .namespaces import drop_capabilities

MOST_PROCESSES = 64  # threads count too
LARGEST_FILE = 64 << 20
STACK = 64 << 20  # deep recursion is honest work
MOST_FILES = 64


@dataclass(frozen=True)
class Limits:
    """processes: how many the same user runs already, where the kernel counts those as well."""

    cpu_s: int
    memory_mib: int
    processes: int = 0


def _limit(what: int, soft: int, hard: int | None = None) -> None:
    allowed = resource.getrlimit(what)[1]
    wanted = (soft, soft if hard is None else hard)
    if allowed != resource.RLIM_INFINITY:
        wanted = (min(wanted[0], allowed), min(wanted[1], allowed))
    resource.setrlimit(what, wanted)


def become(limits: Limits, user: int | None) -> None:
    """A process group of its own, the limits, another user if one is given, no privileges."""
    os.setsid()
    memory = limits.memory_mib << 20
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_CPU, limits.cpu_s, limits.cpu_s + 1)
    _limit(resource.RLIMIT_FSIZE, LARGEST_FILE)
    _limit(resource.RLIMIT_NOFILE, MOST_FILES)
    _limit(resource.RLIMIT_NPROC, MOST_PROCESSES + limits.processes)
    _limit(resource.RLIMIT_STACK, STACK)
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    drop_capabilities()
    _limit(resource.RLIMIT_AS, memory)  # last: what comes before may still allocate


def threads_of(user: int) -> int:
    """How many threads the user runs on this machine, as far as /proc shows them."""
    count = 0
    for entry in os.scandir("/proc"):
        try:
            if entry.name.isdigit() and entry.stat().st_uid == user:
                count += len(os.listdir(f"/proc/{entry.name}/task"))
        except OSError:
            pass  # it has ended meanwhile
    return count


def counted_already(user: int, own_namespace: bool) -> int:
    """From Linux 5.14 on each user namespace has its own count; before, all share one."""
    release = os.uname().release.split("-")[0].split(".")[:2]
    major, minor = (int("".join(filter(str.isdigit, part))) for part in release)
    return 0 if own_namespace and (major, minor) >= (5, 14) else threads_of(user)
