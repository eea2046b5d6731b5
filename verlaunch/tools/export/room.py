"""Is there room for an export: on the disk where it goes, and in memory for its proof?

Asked before anything is written, so that the answer comes in a second and not after ten minutes.
"""

import errno
from pathlib import Path

import psutil

from verlaunch.errors import UserError
from verlaunch.machine import disk

SPARE = 1.1  # of what is counted: tokenizers, buffers, what else is written meanwhile


def check_empty(out: Path) -> None:
    """Raises UserError when `out` is a file, or holds anything."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is there already and not empty. Delete it, or name another OUT.")


def check_disk(out: Path, needed: int) -> None:
    free = disk.free(out)
    if free < needed * SPARE:
        raise UserError(
            f"{disk.existing(out)} has {disk.amount(free)} free and the export takes "
            f"{disk.amount(needed)}. Make room there, or name another OUT."
        )


def check_memory(needed: int) -> None:
    """needed: bytes of one fp32 copy of the larger model."""
    free = psutil.virtual_memory().available
    if free < needed * SPARE:
        raise UserError(
            f"Proving the export takes {disk.amount(needed * SPARE)} of memory (one fp32 copy of "
            f"the model) and {disk.amount(free)} is free. Leave the proof out with --no-check; the "
            "export itself takes at most a few GiB."
        )


def why_not_written(error: BaseException) -> str | None:
    """The end of a sentence about OUT; None where the error has another cause. Safetensors tells
    of a full disk in words only."""
    code = error.errno if isinstance(error, OSError) else None
    if disk.is_full(error) or "os error 28" in str(error):
        return "its disk is full"
    return f"{error}" if code in (errno.EACCES, errno.EPERM, errno.EROFS) else None
