"""Room on the disk: how much a save needs, what to say when there is too little, and the wait.

    wait_for_room(folder, needed=12 * 2**30, tell=print, stopped=lambda: False)  ->  True

A run waits where another program would fail: its weights are in memory, and the last checkpoint is
whole. Quotas are not seen beforehand; they show when a write fails, and are waited for as well.
"""

import errno
import json
import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from verlaunch.errors import UserError

LEAST_ROOM = 1 << 20  # bytes; less than that holds no log, let alone a checkpoint
MARGIN = 1.1  # of the last checkpoint's size
UNITS = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))
POLL_S = 2.0
WAITING = "Waiting for room on the disk"
WAY_OUT = (
    "Delete what you can spare there; the run goes on by itself. Ctrl-C ends it; the last "
    "checkpoint stays as it is."
)
RETRY_S = 60.0  # after a write that failed although there seemed to be room
FULL = (errno.ENOSPC, errno.EDQUOT)
# torch writes through C++ streams, whose errors have no number; Ray wraps both kinds into text.
FULL_WORDS = (*map(os.strerror, FULL), "PytorchStreamWriter failed writing", "file write failed",
              "unexpected pos", "iostream error")  # fmt: skip


def existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    return next(path for path in [folder, *folder.parents] if path.exists())


def free(folder: Path) -> int:
    """Bytes that this user can still write at `folder`, which need not exist yet."""
    return shutil.disk_usage(existing(folder)).free


@contextmanager
def building(out: Path) -> Iterator[Path]:
    """A folder to fill beside `out`, whose place it takes when nothing went wrong."""
    folder = out.with_name(f".{out.name}-{os.getpid()}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
        shutil.rmtree(out, ignore_errors=True)
        os.replace(folder, out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A hidden neighbour to write, which becomes `file` when nothing went wrong: whoever looks at
    the file sees a whole one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{os.getpid()}-{file.name}")
    try:
        yield partial
        os.replace(partial, file)
    finally:
        partial.unlink(missing_ok=True)


def amount(size: float) -> str:
    """`1.2 GB`; decimal, as disks are sold and `df -H` shows."""
    unit, name = next((pair for pair in UNITS if size >= pair[0]), UNITS[-1])
    return f"{size / unit:.1f} {name}"


def is_full(error: BaseException) -> bool:
    """Whether a write failed for want of room, in this process or in one that Ray ran."""
    if isinstance(error, OSError) and error.errno in FULL:
        return True
    return any(words in str(error) for words in FULL_WORDS)


def parameters(model: Path) -> int:
    """Numbers in a Hugging Face folder, from the headers of its safetensors; 0 without any."""
    return sum(_numbers(file) for file in model.glob("*.safetensors"))


def _numbers(file: Path) -> int:
    with file.open("rb") as opened:
        header = json.loads(opened.read(int.from_bytes(opened.read(8), "little")))
    header.pop("__metadata__", None)
    return sum(math.prod(facts["shape"]) for facts in header.values())


def shortage(folder: Path, needed: int, available: int) -> str:
    return (
        f"{WAITING}: a checkpoint needs {amount(needed)}, and {folder} has {amount(available)} "
        f"free. {WAY_OUT}"
    )


def full(folder: Path) -> str:
    return f"{WAITING}: {folder} has {amount(free(folder))} free. {WAY_OUT}"


def wait_for_room(
    folder: Path,
    needed: int,
    tell: Callable[[str], None],
    stopped: Callable[[], bool],
    failed: bool = False,
    room: Callable[[Path], int] = free,
) -> bool:
    """True when a save may be tried, mostly at once; False when asked to stop while waiting.

    `failed`: a write has just failed for want of room, whatever the numbers say; it is tried again
    when there is more room than now, or after RETRY_S.
    """
    before = room(folder)
    if failed:
        needed = max(needed, int(before * MARGIN) + 1)
    waited, available = 0.0, before
    while available < needed and not (failed and waited >= RETRY_S):
        if not waited:
            tell(shortage(folder, needed, available))
        if stopped():
            return False
        time.sleep(POLL_S)
        waited += POLL_S
        available = room(folder)
    if waited:
        tell(f"{amount(available)} free: saving the checkpoint.")
    return True


def check_writable(folder: Path) -> None:
    """Raises UserError when the folder could not be made or written. Leaves nothing behind."""
    there = existing(folder)
    if not there.is_dir():
        raise UserError(f"--output_dir {folder}: {there} is a file. Name a folder.")
    try:
        with tempfile.TemporaryFile(dir=there) as probe:
            probe.write(b"0" * LEAST_ROOM)
    except OSError as error:
        raise UserError(
            f"--output_dir {folder} cannot be written ({error.strerror}). "
            "Make room there, or name another folder with --output_dir FOLDER."
        ) from None
