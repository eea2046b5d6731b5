"""Limits of this user or container: open files, processes and threads, addresses.

    This user may have 512 threads (ulimit -u), 300 of them taken; a run needs about 720. ...

The soft limit of open files needs no care: Ray raises it to the hard one for itself and for what it
starts (ray/_private/worker.py:1763). Left out on purpose: locked memory, which nothing here needs.
"""

from collections.abc import Iterator

from verlaunch.config.tree import ranks_here
from verlaunch.errors import Finding
from verlaunch.machine.disk import amount
from verlaunch.plan.guards.scene import Scene
from verlaunch.plan.sizes import processes

# Seen in a run of one rank on 2 cores: 18 processes with 444 threads; 84 open files at the most, of
# which Ray's own raylet has some more for each process.
RAYS = 8  # processes of Ray itself
THREADS_EACH = 40
LEAST = 0.5  # of what is said to be needed; below it a run has never been seen to live
FILES, FILES_EACH = 256, 8
# What one process maps, most of it never touched: 5.2 GB seen in the demo (VmPeak). CUDA maps all
# of the machine's memory and the cards'.
ADDRESSES = 52 * 10**8


def check(scene: Scene) -> Iterator[Finding]:
    yield from _addresses(scene)
    if scene.config.launch["ray_address"]:  # a cluster of others has brought its own
        return
    count = processes(scene.config.verl) + RAYS
    yield from _files(scene, FILES + FILES_EACH * count)
    yield from _threads(
        scene, THREADS_EACH * count + scene.machine.cores * ranks_here(scene.config.verl)
    )


def _addresses(scene: Scene) -> Iterator[Finding]:
    limit = scene.host.address_bytes
    if limit is None or (limit >= ADDRESSES and scene.config.hardware == "cpu"):
        return
    yield Finding(
        f"A process may map {amount(limit)} (ulimit -v), and those of a run map "
        f"{amount(ADDRESSES)} or more, most of which they never use: they would fail as if memory "
        "were full, or threads too many. Type: ulimit -v unlimited",
        stops=limit < ADDRESSES,
    )


def _files(scene: Scene, need: int) -> Iterator[Finding]:
    if scene.host.open_files < need:
        yield Finding(
            f"A process may open {scene.host.open_files} files (ulimit -Hn); this run needs {need}."
            " Only root can raise it: a line '* hard nofile 65536' in /etc/security/limits.conf, "
            "then log in again; in a container: docker run --ulimit nofile=65536."
        )


def _threads(scene: Scene, need: int) -> Iterator[Finding]:
    limit, taken = scene.host.processes, scene.host.threads
    if limit is None or limit - taken >= need:
        return
    if scene.host.threads_by == "ulimit -u":
        who, way = (
            "This user",
            f"ulimit -u {_round(taken + need)} (above ulimit -Hu, only root can)",
        )
    else:
        who, way = "This container", "docker run --pids-limit=-1; in a pod its podPidsLimit"
    yield Finding(
        f"{who} may have {limit} processes and threads ({scene.host.threads_by}), {taken} of them "
        f"taken; a run needs about {need}. Raise it: {way}.",
        stops=limit - taken < LEAST * need,
    )


def _round(number: int) -> int:
    return -(-number // 1024) * 1024
