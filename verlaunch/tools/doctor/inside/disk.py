"""How fast a folder is written, with fsync, and read back; the file is removed at once.

    work({"folders": ["/data/outputs"], "megabytes": 256}, print)
    # {"/data/outputs": {"write": 812.0, "read": 1900.0, "free": 81e9}}    MB/s, bytes

A folder that is not there yet is judged by the nearest one that is.
"""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from verlaunch.machine import disk

BLOCK = 4_000_000  # bytes
LONGEST_S = 8.0  # of writing; a slow disk is known by then
SHARE = 0.1  # of the free room at most


def _write(file: int, size: int) -> int:
    """Bytes written and synced."""
    block, written, until = os.urandom(BLOCK), 0, time.monotonic() + LONGEST_S
    while written < size and time.monotonic() < until:
        written += os.write(file, block)
    os.fsync(file)
    return written


def _read(file: int) -> int:
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)  # from the disk, where it heeds this
    os.lseek(file, 0, os.SEEK_SET)
    total = 0
    while block := os.read(file, BLOCK):
        total += len(block)
    return total


def _timed(act: Callable[[], int]) -> float:
    """MB/s."""
    began = time.monotonic()
    size = act()
    return size / 1e6 / max(time.monotonic() - began, 1e-9)


def measure(folder: Path, megabytes: float) -> dict[str, Any]:
    where = disk.existing(folder)
    free = disk.free(where)
    size = max(BLOCK, int(min(megabytes * 1e6, SHARE * free)))
    try:
        with tempfile.TemporaryFile(dir=where, prefix=".verlaunch-doctor-") as opened:
            file = opened.fileno()
            write = _timed(lambda: _write(file, size))
            return {"write": write, "read": _timed(lambda: _read(file)), "free": free}
    except OSError as error:
        return {"error": error.strerror or type(error).__name__, "free": free}


def work(given: dict[str, Any], doing: Callable[[str], None]) -> dict[str, Any]:
    found = {}
    for folder in given["folders"]:
        doing(f"writing to {folder}")
        found[folder] = measure(Path(folder), given["megabytes"])
    return found
