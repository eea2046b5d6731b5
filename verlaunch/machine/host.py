"""What the machine has right now that a run needs: shared memory, limits, ports, other programs.

    look()  ->  Host(shm_bytes=12_500_000_000, open_files=65_536, ...)

Read afresh for every start, in a few milliseconds where there is no GPU. What stays as it is
(cores, memory, cards) is in hardware.py. Disks are looked at by folder (room), when a guard asks.
"""

import os
import resource
import shutil
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from verlaunch.machine import disk, hardware, leftovers, nvidia
from verlaunch.machine.nvidia import Busy, Card
from verlaunch.text import GIB

SHM = "/dev/shm"
MOST_FILES = 65_536  # what Ray raises its own limit to, and its processes' (ray/_private/worker.py)
HEADS = ("gcs_server", "raylet")  # Ray's processes: of a head, and of every machine of a cluster


@dataclass(frozen=True)
class Room:
    """Of the disk that a folder lies on, in bytes; `kind`: of file system."""

    free: int
    total: int
    kind: str = ""


@dataclass(frozen=True)
class Host:
    shm_bytes: int | None  # free below /dev/shm; None when there is no such folder
    open_files: int  # the soft limit (ulimit -n) that we can raise ours to; the hard one
    processes: int | None  # the limit (ulimit -u); None: none
    free_memory_gib: float  # what programs can still have (MemAvailable, cgroup)
    loopback: bool  # whether a port on 127.0.0.1 can be had
    busy: tuple[Busy, ...] = ()
    ray: tuple[str, ...] = ()  # other Ray clusters of this user, as "head at ADDRESS (pid N)"
    threads: int = 0  # that count towards `processes` already
    threads_by: str = "ulimit -u"  # what sets `processes`, or "pids.max" of a container
    address_bytes: int | None = None  # what one process may map (ulimit -v); None: no limit
    ports: int = 28_232  # for outgoing connections, and servers that take any: Linux's own default
    cards: tuple[Card, ...] = ()  # all, those that CUDA_VISIBLE_DEVICES hides too
    smi_error: str = ""  # of an nvidia-smi that fails
    driver_cuda: tuple[int, int] | None = None  # the newest CUDA that the driver speaks
    disks: Mapping[str, Room] = field(default_factory=dict)  # "output", "temp", "cache"; else asked


def _open_files() -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    return max(
        MOST_FILES if soft == unlimited else soft,
        MOST_FILES if hard == unlimited else min(hard, MOST_FILES),
    )


def _address_bytes() -> int | None:
    soft = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if soft == resource.RLIM_INFINITY else soft


def _threads(user: int) -> int:
    """Linux counts threads against the limit of processes."""
    count = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if folder.stat().st_uid == user:
                count += int((folder / "stat").read_text("latin-1").rpartition(")")[2].split()[17])
        except OSError:  # gone meanwhile
            continue
    return count


def _thread_limits() -> Iterator[tuple[int, int, str]]:
    """Limit, threads that count towards it, and what sets it."""
    limit = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    if os.geteuid() and limit != resource.RLIM_INFINITY:  # root's does not count
        yield limit, _threads(os.geteuid()), "ulimit -u"
    for group in hardware.groups("pids"):
        most, used = hardware.numbers(group / "pids.max"), hardware.numbers(group / "pids.current")
        if most and used:
            yield int(most[0]), int(used[0]), "pids.max"


def _cached(group: Path) -> float:
    """Bytes of files in a group's memory, which the kernel gives back when they are needed."""
    try:
        rows = [line.split() for line in (group / "memory.stat").read_text().splitlines()]
    except OSError:
        return 0.0
    facts = {name: float(value) for name, value in rows}
    old = "total_" if "total_inactive_file" in facts else ""  # version 1 of cgroups
    return facts.get(f"{old}inactive_file", 0.0) + facts.get(f"{old}active_file", 0.0)


def _free_memory_gib() -> float:
    free = [float(psutil.virtual_memory().available)]
    for group in hardware.groups("memory"):
        for most, used in (("memory.max", "memory.current"),
                           ("memory.limit_in_bytes", "memory.usage_in_bytes")):  # fmt: skip
            limit, taken = hardware.numbers(group / most), hardware.numbers(group / used)
            if limit and taken:
                free.append(max(0.0, limit[0] - taken[0] + _cached(group)))
    return min(free) / GIB


def _loopback() -> bool:
    """Whether a program here can be reached by another: a port alone can be had with lo down."""
    try:
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            server.listen()
            socket.create_connection(server.getsockname(), timeout=2).close()
    except OSError:
        return False
    return True


def _ports() -> int:
    bounds = hardware.numbers(Path("/proc/sys/net/ipv4/ip_local_port_range"))
    return int(bounds[1] - bounds[0]) + 1 if len(bounds) == 2 else Host.ports


def _words(file: Path) -> list[str]:
    return file.read_bytes().decode(errors="replace").split("\0")


def _cluster(folder: Path) -> str:
    """A process of Ray in words; empty for all but the first of a cluster on this machine."""
    name = (folder / "comm").read_text(errors="replace").strip()
    if name not in HEADS or folder.stat().st_uid != os.geteuid():
        return ""
    words = _words(folder / "cmdline")
    if name == "raylet" and "--head" in words:
        return ""  # its gcs_server is told of
    mark = f"{leftovers.MARK}="
    runs = [word[len(mark) :] for word in _words(folder / "environ") if word.startswith(mark)]
    if runs:
        return f"run in {runs[0]} (pid {folder.name})"
    flags = ("--node-ip-address=", "--node_ip_address=")
    address = [word.partition("=")[2] for word in words if word.startswith(flags)]
    what = "head" if name == "gcs_server" else "member"
    return f"{what} at {(address or ['an address unknown'])[0]} (pid {folder.name})"


def _clusters() -> Iterator[str]:
    for folder in sorted(Path("/proc").glob("[0-9]*")):
        try:
            if found := _cluster(folder):
                yield found
        except OSError:  # gone meanwhile
            continue


def room(folder: Path) -> Room:
    """Of a folder that need not exist yet."""
    there = disk.existing(folder).resolve()
    usage = shutil.disk_usage(there)
    return Room(usage.free, usage.total, _kind(there))


def _kind(folder: Path) -> str:
    """The file system's type, of the mount that is nearest above; the last one hides earlier."""
    mounts = psutil.disk_partitions(all=True)
    above = [mount for mount in reversed(mounts) if folder.is_relative_to(mount.mountpoint)]
    return max(above, key=lambda mount: len(mount.mountpoint)).fstype if above else ""


def look() -> Host:
    limits = min(_thread_limits(), key=lambda limit: limit[0] - limit[1], default=None)
    most, threads, threads_by = limits or (None, 0, "ulimit -u")
    seen = nvidia.look()
    return Host(
        shm_bytes=disk.free(Path(SHM)) if os.path.isdir(SHM) else None,
        open_files=_open_files(),
        processes=most,
        free_memory_gib=_free_memory_gib(),
        loopback=_loopback(),
        busy=seen.busy,
        ray=tuple(_clusters()),
        threads=threads,
        threads_by=threads_by,
        address_bytes=_address_bytes(),
        ports=_ports(),
        cards=seen.cards,
        smi_error=seen.error,
        driver_cuda=seen.driver_cuda,
    )
