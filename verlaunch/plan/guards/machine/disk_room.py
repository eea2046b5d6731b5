"""Room on the disks: for checkpoints, for Ray's temporary files, for what is kept between runs.

    A checkpoint takes 12.0 GB, and /data/outputs has 3.0 GB free. ...

A run that finds its disk full waits for room (machine/disk.py) rather than fail; better to know
before. Quotas are not seen.
"""

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from verlaunch import paths
from verlaunch.errors import Finding, UserError
from verlaunch.machine import host
from verlaunch.machine.disk import amount
from verlaunch.plan.guards.scene import Scene

IN_MEMORY = ("tmpfs", "ramfs")
TEMP_LEAST = 500 * 10**6  # Ray's logs and sockets, torch's compiled code
CACHE_LEAST = 500 * 10**6  # prepared data, the demo's model
OUTPUT_LEAST = 10**9  # without an estimate
RAYS_LIMIT, VARIABLE = 0.95, "RAY_local_fs_capacity_threshold"


def check(scene: Scene) -> Iterator[Finding]:
    yield from _output(scene, _room(scene, "output", scene.folder))
    with contextlib.suppress(UserError):  # a folder that cannot be used is told by the start
        temp = paths.temp_dir()
        yield from _temp(scene, temp, _room(scene, "temp", temp))
    cache = paths.cache_dir()
    left = _room(scene, "cache", cache)
    if left.free < CACHE_LEAST:
        yield Finding(
            f"{cache}, where prepared data is kept, has {amount(left.free)} free. Name another "
            "folder: VERLAUNCH_CACHE=/some/folder ./train.sh ...",
            stops=False,
        )


def _room(scene: Scene, name: str, folder: Path) -> host.Room:
    found = scene.host.disks.get(name) or host.room(folder)
    # Some file systems (FUSE) do not say how large they are.
    return found if found.total or found.free else replace(found, free=sys.maxsize)


def _output(scene: Scene, left: host.Room) -> Iterator[Finding]:
    where, estimate = scene.folder, scene.estimate
    has = f"{where} has {amount(left.free)} free"
    way = "Make room there, or name another disk with --output_dir FOLDER."
    if estimate is not None and left.free < estimate.disk.checkpoint:
        yield Finding(
            f"A checkpoint takes about {amount(estimate.disk.checkpoint)}, and {has}: the run "
            f"would wait at its first save. {way}"
        )
    elif estimate is not None and left.free + _kept(where) < estimate.disk.bytes:
        yield Finding(
            f"Checkpoints and the final model take about {amount(estimate.disk.bytes)} "
            f"({estimate.disk.kept} of {amount(estimate.disk.checkpoint)} at a time), and {has}: "
            f"the run would wait for room. {way} --keep 2 keeps the fewest.",
            stops=False,
        )
    elif estimate is None and left.free < OUTPUT_LEAST:
        yield Finding(f"{has}, which is little for checkpoints. {way}", stops=False)
    if left.kind in IN_MEMORY:
        yield Finding(
            f"{where} lies in main memory ({left.kind}): checkpoints take memory from the run, and "
            "a reboot loses them. Name a folder on a disk with --output_dir FOLDER.",
            stops=False,
        )


def _kept(folder: Path) -> int:
    """Bytes of the checkpoints that are there already: a resumed run replaces them."""
    return sum(f.stat().st_size for f in (folder / "checkpoints").rglob("*") if f.is_file())


def _temp(scene: Scene, folder: Path, left: host.Room) -> Iterator[Finding]:
    way = "Make room there, or name another disk: TMPDIR=/some/short/path ./train.sh ..."
    limit = scene.share(VARIABLE, RAYS_LIMIT)
    if left.free < TEMP_LEAST:
        yield Finding(
            f"{folder}, where Ray keeps its files, has {amount(left.free)} free, and a run needs "
            f"{amount(TEMP_LEAST)}. {way}"
        )
    elif left.total and 1 - left.free / left.total > limit:
        yield Finding(
            f"The disk of {folder} is {1 - left.free / left.total:.0%} full: above {limit:.0%} Ray "
            f"moves no objects there when its memory is full, and calls fail. {way}",
            stops=False,
        )
