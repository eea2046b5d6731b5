"""Which checkpoints of a run can be used, and which is the best by validation.

search(Path("outputs/checkpoints"), hashes=True)  ->  Search(found=..., passed_over=(...))
"""

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path

from verlaunch.record.checkpoints.manifest import (
    MANIFEST,
    Checkpoint,
    Unusable,
    examine,
    read,
    write_json,
)  # fmt: skip

BEST = "best.json"  # {"step": 40, "score": 0.61}
NAME = re.compile(r"global_step_(0|[1-9]\d*)")


@dataclass(frozen=True)
class Search:
    """passed_over: newer folders than `found`, newest first, each with its reason."""

    found: Checkpoint | None
    passed_over: tuple[Unusable, ...] = ()

    @property
    def lost(self) -> tuple[Unusable, ...]:
        """Those that were complete once."""
        return tuple(one for one in self.passed_over if (one.path / MANIFEST).exists())


def folders(checkpoints: Path) -> dict[int, Path]:
    """Folders named global_step_N by step, the oldest first."""
    named = {
        int(match[1]): path
        for path in (checkpoints.iterdir() if checkpoints.is_dir() else ())
        if (match := NAME.fullmatch(path.name)) and path.is_dir()
    }
    return dict(sorted(named.items()))


def all_complete(checkpoints: Path) -> list[Checkpoint]:
    """Complete checkpoints by their files' sizes, oldest first; none without such a folder."""
    found = [read(folder) for folder in folders(checkpoints).values()]
    return [checkpoint for checkpoint in found if checkpoint is not None]


def search(checkpoints: Path, hashes: bool = False) -> Search:
    """The newest usable checkpoint. `hashes`: every byte of a candidate is read."""
    passed_over: list[Unusable] = []
    for folder in reversed(folders(checkpoints).values()):
        try:
            return Search(examine(folder, hashes), tuple(passed_over))
        except Unusable as reason:
            passed_over.append(reason)
    return Search(None, tuple(passed_over))


def latest(checkpoints: Path) -> Checkpoint | None:
    return search(checkpoints).found


def noted_best(checkpoints: Path) -> tuple[int, float] | None:
    """Its step and score, as they were noted."""
    try:
        facts = json.loads((checkpoints / BEST).read_text())
        return int(facts["step"]), float(facts["score"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def best(checkpoints: Path) -> Checkpoint | None:
    """By validation; none while the one that was noted is gone."""
    noted = noted_best(checkpoints)
    return read(checkpoints / f"global_step_{noted[0]}") if noted else None


def note_score(checkpoints: Path, step: int, score: float) -> bool:
    """Whether this step is the best now; of equal ones the earlier is. One that is not saved is
    not noted: nothing could be done with it."""
    noted, standing = noted_best(checkpoints), best(checkpoints)
    if not math.isfinite(score) or read(checkpoints / f"global_step_{step}") is None:
        return False
    if noted and standing and score <= noted[1]:
        return standing.step == step
    write_json(checkpoints / BEST, {"step": step, "score": score})
    return True
