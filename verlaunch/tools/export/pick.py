"""Which checkpoint of which run is meant by what was typed.

    pick(Path("outputs"), "best")                                  ->  Picked(run, checkpoint)
    pick(Path("outputs/checkpoints/global_step_60"), "last")       ->  the same of a checkpoint

Only complete checkpoints count. Every mistake is a UserError that says what is there instead.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from verlaunch.errors import UserError
from verlaunch.record.checkpoints.manifest import MANIFEST, Checkpoint, Unusable, examine
from verlaunch.record.checkpoints.search import all_complete, best, search

LAST, BEST, FINAL = "last", "best", "final"
EXPORTED = "exported"  # in a run's folder


@dataclass(frozen=True)
class Picked:
    run: Path | None  # None: a checkpoint that lies in no run's folder
    checkpoint: Checkpoint

    def fingerprint(self) -> str:
        """Of the checkpoint's manifest: a run that begins anew has other ones for the same step."""
        return hashlib.sha256((self.checkpoint.path / MANIFEST).read_bytes()).hexdigest()


def is_run(folder: Path) -> bool:
    return (folder / "config.yaml").is_file() or (folder / "checkpoints").is_dir()


def check_run(folder: Path) -> None:
    """Raises UserError when no run has written this folder."""
    if is_run(folder):
        return
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder. Name a run's folder, such as outputs.")
    if (folder / "config.json").is_file():
        raise UserError(f"{folder} is a Hugging Face folder already. Name a run's folder.")
    inside = sorted(path.name for path in folder.iterdir() if is_run(path))
    hint = f" Runs in it: {', '.join(inside)}." if inside else ""
    raise UserError(f"{folder} is not a run's folder: it has no config.yaml.{hint}")


def steps_there(folder: Path) -> str:
    steps = [str(c.step) for c in all_complete(folder)]
    return ", ".join(steps) or "none"


def _best(folder: Path) -> Checkpoint:
    found = best(folder)
    if found is None:
        raise UserError(
            f"No checkpoint of {folder.parent} has been validated, so none is the best: --step "
            f"takes last or one of {steps_there(folder)}. Next time: --test_freq N."
        )
    return found


def _numbered(folder: Path, step: int) -> Checkpoint:
    try:
        return examine(folder / f"global_step_{step}")
    except Unusable as error:
        why = f" ({error})" if error.path.is_dir() else ""
        raise UserError(
            f"{folder.parent} has no complete checkpoint of step {step}{why}. Complete ones: "
            f"{steps_there(folder)}."
        ) from None


def _last(folder: Path) -> Checkpoint:
    looked = search(folder)
    if looked.found is None:
        why = "".join(f" {unusable}." for unusable in looked.passed_over)
        raise UserError(
            f"{folder.parent} has no complete checkpoint{'.' if why else ' yet.'}{why} Runs save "
            "every --save_freq steps and at their end."
        )
    return looked.found


def _of_run(run: Path, step: str) -> Checkpoint:
    folder = run / "checkpoints"
    if step == LAST:
        return _last(folder)
    if step == BEST:
        _last(folder)  # with none at all, that is what to say
        return _best(folder)
    if not step.isascii() or not step.isdigit():
        raise UserError(
            f"--step {step}: takes a step's number, last or best; chat takes final too."
        )
    _last(folder)
    return _numbered(folder, int(step))


def _of_checkpoint(folder: Path, step: str) -> Picked:
    try:
        found = examine(folder)
    except Unusable as error:
        near = steps_there(folder.parent)
        raise UserError(f"{error}. Complete checkpoints beside it: {near}.") from None
    if step not in (LAST, str(found.step)):
        raise UserError(f"{folder} is step {found.step}, not --step {step}. Leave one of them out.")
    run = folder.parent.parent
    return Picked(run if (run / "config.yaml").is_file() else None, found)


def pick(folder: Path, step: str = LAST) -> Picked:
    """folder: a run's or a checkpoint's. step: a number, "last" or "best". Raises UserError."""
    folder = folder.expanduser().resolve()
    if folder.name.startswith("global_step_") or (folder / MANIFEST).is_file():
        return _of_checkpoint(folder, step)
    check_run(folder)
    return Picked(folder, _of_run(folder, step))
