"""The best checkpoint by validation: checkpoints/best.json, {"step": 40, "score": 0.61}.

    note_score(checkpoints, 40, 0.61)    # after the validation of a step that is saved
    best(checkpoints).path

A score of a step without a checkpoint is not noted: nothing could be done with it. Of equal scores
the earlier counts. The file is a hint: while its checkpoint is gone there is no best one.
"""

import json
import math
import os
from pathlib import Path

from verlaunch.record.checkpoints.manifest import Checkpoint, read

BEST = "best.json"


def _noted(checkpoints: Path) -> tuple[int, float] | None:
    try:
        facts = json.loads((checkpoints / BEST).read_text())
        return int(facts["step"]), float(facts["score"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def best(checkpoints: Path) -> Checkpoint | None:
    noted = _noted(checkpoints)
    return read(checkpoints / f"global_step_{noted[0]}") if noted else None


def note_score(checkpoints: Path, step: int, score: float) -> bool:
    """Whether this step is the best now. It must be saved already, else it is not."""
    noted, standing = _noted(checkpoints), best(checkpoints)
    if not math.isfinite(score) or read(checkpoints / f"global_step_{step}") is None:
        return False
    if noted and standing and score <= noted[1]:
        return standing.step == step
    partial = checkpoints / f".{BEST}"
    with partial.open("w") as out:
        json.dump({"step": step, "score": score}, out)
        out.flush()
        os.fsync(out.fileno())
    os.replace(partial, checkpoints / BEST)
    return True
