"""Which two models speak: the one that training began with, and what it made of it.

    before(run), after(run, "best")   ->  Voice("before", ...), Voice("after (step 40)", ...)

The trained one is checkpoints/final when that is the step asked for, an earlier export of it, or an
export made now, into exported/chat/ of the run. Steps are told apart by their checkpoint's
fingerprint, so that a run begun anew never speaks with its predecessor's voice.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from verlaunch.config.tree import get
from verlaunch.errors import UserError
from verlaunch.inputs import models
from verlaunch.paths import cache_dir
from verlaunch.record.checkpoints.search import all_complete
from verlaunch.record.report.history import History
from verlaunch.tools.export.pick import EXPORTED, FINAL, LAST, Picked, pick
from verlaunch.tools.export.proven_export import RECORD, Order, write

CACHE = Path(EXPORTED, "chat")
DEFAULT_SEED = 1


@dataclass(frozen=True)
class Voice:
    title: str
    folder: Path


def _demo(history: History) -> Path:
    from verlaunch.inputs.demo.model import cached_model

    seed = get(history.config, "data.seed") or DEFAULT_SEED
    return cached_model(cache_dir(), seed, lambda _: None)


def before(history: History) -> Voice:
    """Raises UserError when the model that the run began with is not on this machine any more."""
    name = str(history.identity.get("model", ""))
    folder = Path(get(history.config, "actor_rollout_ref.model.path") or name)
    if (folder / "config.json").is_file():
        return Voice("before", folder)
    if name == "demo":
        return Voice("before", _demo(history))
    if name and not models.is_local(name):
        return Voice("before", models.fetch(name, "the base model"))
    raise UserError(f"The model this run began with is gone: {folder}.")


def _final_step(history: History) -> int | None:
    """The step that checkpoints/final is of."""
    folder = history.folder / "checkpoints" / FINAL
    if not (folder / "config.json").is_file():
        return None
    steps = [e.get("step") for e in history.events if e.get("event") == "exported"]
    return steps[-1] if steps and isinstance(steps[-1], int) else 0


def _is_of(folder: Path, picked: Picked) -> bool:
    try:
        record = json.loads((folder / RECORD).read_text())
    except (OSError, ValueError):
        return False
    return record.get("checkpoint") == picked.fingerprint() and (folder / "actor").is_dir()


def _exported(picked: Picked) -> Path:
    assert picked.run is not None
    step = f"step_{picked.checkpoint.step}"
    for folder in (picked.run / EXPORTED / step, picked.run / CACHE / step):
        if _is_of(folder, picked):
            return folder / "actor"
    out = picked.run / CACHE / step
    shutil.rmtree(out, ignore_errors=True)  # of an earlier run in this folder
    write(Order(picked, out, "keep", adapter=False, critic=False, check=False))
    return out / "actor"


def after(history: History, step: str | None) -> Voice:
    """step: a number, last, best, final; None is the last. Raises UserError."""
    run, final = history.folder, _final_step(history)
    folder = run / "checkpoints"
    if step == FINAL:
        if final is None:
            raise UserError(f"{run} has no final model yet; runs write it at their end. Leave "
                            "--step out for the last checkpoint.")  # fmt: skip
        return Voice(f"after (final, step {final})" if final else "after (final)", folder / FINAL)
    if final is not None and step in (None, LAST) and not all_complete(folder):
        return Voice("after (final)", folder / FINAL)
    picked = pick(run, step or LAST)
    number = picked.checkpoint.step
    return Voice(f"after (step {number})", folder / FINAL if number == final else _exported(picked))
