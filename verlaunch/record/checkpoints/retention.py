"""Which checkpoints stay: the newest few and the best. Only what the trainer made is ever deleted.

    prune(checkpoints, keep=2)           # after each save
    sweep(checkpoints)                   # at a start: what a killed process left half done
    set_aside_after(checkpoints, 20)     # before steps 21, 22, ... are done again

verl forgets the checkpoints of earlier processes and leaves their data.pt behind
(utils/checkpoint/checkpoint_manager.py:register_checkpoint); its own pruning is switched off.
"""

import os
import re
import shutil
import time
from pathlib import Path

from verlaunch.record.checkpoints.manifest import MANIFEST, SAVING
from verlaunch.record.checkpoints.search import BEST, all_complete, best, folders, noted_best

LEAST = 2  # one may turn out damaged
PARTIAL = re.compile(r"\..+-\d+")  # .NAME-PID: being written, or being deleted
RESHARDED = "resharded"  # see resume.py


def _is_ours(folder: Path) -> bool:
    """Saved or begun by our trainer, or the data.pt that verl's pruning leaves alone."""
    if folder.is_symlink():
        return False
    marked = (folder / MANIFEST).exists() or (folder / SAVING).exists()
    return marked or [path.name for path in folder.iterdir()] == ["data.pt"]


def _delete(folder: Path) -> None:
    """Under its own name it is whole or gone: a kill in between leaves what `sweep` removes."""
    going = folder.with_name(f".{folder.name}-{os.getpid()}")
    os.replace(folder, going)
    shutil.rmtree(going, ignore_errors=True)


def prune(checkpoints: Path, keep: int) -> list[Path]:
    """Deletes all complete ones but the newest `keep` (2 at least) and the best, and unfinished
    ones older than the newest. What was resharded for this run is saved by its own ranks now."""
    complete = all_complete(checkpoints)
    if not complete:
        return []
    kept = {checkpoint.path for checkpoint in complete[-max(LEAST, keep) :]}
    if chosen := best(checkpoints):
        kept.add(chosen.path)
    gone = [
        folder
        for step, folder in folders(checkpoints).items()
        if step < complete[-1].step and folder not in kept and _is_ours(folder)
    ]
    for folder in gone:
        _delete(folder)
    if (checkpoints / RESHARDED).is_dir():
        _delete(checkpoints / RESHARDED)
    return gone


def sweep(checkpoints: Path) -> list[Path]:
    """Removes half-written exports and half-deleted checkpoints of processes that were killed."""
    rooms = (checkpoints, checkpoints / RESHARDED)
    left = [path for room in rooms for path in room.glob(".*-*") if PARTIAL.fullmatch(path.name)]
    for path in left:
        shutil.rmtree(path, ignore_errors=True)
    return left


def set_aside_after(checkpoints: Path, step: int) -> Path | None:
    """Moves finished checkpoints of later steps to undone-TIME; None when there are none.

    They belong to a course that is left here, or are damaged: counted among the newest, they would
    push out the ones that come.
    """
    later = [
        folder
        for number, folder in folders(checkpoints).items()
        if number > step and (folder / MANIFEST).exists()
    ]
    noted = noted_best(checkpoints)
    if noted and noted[0] > step:
        later.append(checkpoints / BEST)
    if not later:
        return None
    aside = checkpoints / time.strftime("undone-%Y%m%d-%H%M%S")
    aside.mkdir(exist_ok=True)
    for path in later:
        os.replace(path, aside / path.name)
    return aside
