"""Which checkpoints of a run can be used.

search(Path("outputs/checkpoints"), hashes=True)  ->  Search(found=..., passed_over=(...))
"""

import re
from dataclasses import dataclass
from pathlib import Path

from verlaunch.record.checkpoints.manifest import MANIFEST, Checkpoint, Unusable, examine, read

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
