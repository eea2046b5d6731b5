"""What a run that was killed has left on this machine: found by its folder, and ended.

    environment |= mark(folder)              # of everything that a run starts
    note(folder, temp)                       # before its temporary folder is made
    leftovers.end(folder)                    # a sentence, or "" when all was clean

A guardian cleans up after its run. This is for what a killed guardian leaves: the launcher calls
`end` when a run is over, and the next start when it holds the folder's lock, so that nothing of an
earlier attempt writes into the folder any more. Only processes that were started with the mark of
this very folder are touched, on this machine; only temporary folders that `note` has named.
"""

import contextlib
import os
import shutil
from pathlib import Path

from verlaunch.machine import processes

MARK = "VERLAUNCH_RUN"
NOTE = Path("logs", "temp")  # in the run's folder: the temporary folders of its attempts
SHARED = "shared-memory"  # in a temporary folder: files of its run below /dev/shm
OURS = "verlaunch-"  # how every temporary folder begins


def mark(folder: Path) -> dict[str, str]:
    return {MARK: str(folder)}


def note(folder: Path, temp: str) -> None:
    """Written before the folder is made: a kill in between leaves a line too many, not a folder."""
    with (folder / NOTE).open("a") as out:
        out.write(temp + "\n")


def end(folder: Path) -> str:
    """A sentence about what was ended or removed; empty when nothing was left."""
    killed = processes.end_all(lambda: processes.marked(MARK, str(folder)))
    removed = [temp for temp in _lines(folder / NOTE) if _remove(Path(temp))]
    (folder / NOTE).unlink(missing_ok=True)
    if not killed and not removed:
        return ""
    count = f"{killed} process{'es' if killed != 1 else ''} and " if killed else ""
    return f"Ended what an earlier attempt in {folder} left behind: {count}its temporary files."


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:
        return []


def _remove(temp: Path) -> bool:
    """Whether the temporary folder was there."""
    if not temp.name.startswith(OURS) or not temp.is_dir():
        return False
    remove_shared(temp / SHARED)
    shutil.rmtree(temp, ignore_errors=True)
    return True


def remove_shared(listed: Path) -> None:
    """Removes the files below /dev/shm whose names stand in `listed`, if it exists."""
    for file in _lines(listed):
        if file.startswith(processes.SHM) and os.sep not in file[len(processes.SHM) :]:
            with contextlib.suppress(OSError):
                Path(file).unlink()
