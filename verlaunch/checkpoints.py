"""Checkpoints on disk: which are complete, which to continue from, which to delete.

    outputs/checkpoints/global_step_40/{actor,critic,data.pt,complete.json}

verl writes shards, then a tracker file that names the step; a crash in between leaves folders that
only look whole. `complete.json` is written last by our trainer, lists every file with its size, and
is the only thing believed here.
"""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

MANIFEST = "complete.json"


@dataclass(frozen=True)
class Checkpoint:
    path: Path
    step: int
    ranks: int  # FSDP ranks that wrote the shards; only as many can read them
    files: dict[str, int]  # relative path -> bytes

    def is_whole(self) -> bool:
        return all(
            (self.path / name).is_file() and (self.path / name).stat().st_size == size
            for name, size in self.files.items()
        )


def write_manifest(folder: Path, step: int, ranks: int) -> None:
    """Declares a checkpoint complete. Called when every rank has written its shards."""
    files = {
        str(path.relative_to(folder)): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }
    partial = folder / f".{MANIFEST}"
    partial.write_text(json.dumps({"step": step, "ranks": ranks, "files": files}, indent=1))
    os.replace(partial, folder / MANIFEST)


def read(folder: Path) -> Checkpoint | None:
    """The checkpoint in `folder`, None when it was not finished or has lost files."""
    try:
        facts = json.loads((folder / MANIFEST).read_text())
        found = Checkpoint(folder, facts["step"], facts["ranks"], facts["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if found.is_whole() else None


def all_complete(checkpoints: Path) -> list[Checkpoint]:
    """Complete checkpoints, oldest first; none when there is no such folder."""
    found = [read(folder) for folder in checkpoints.glob("global_step_*")]
    return sorted((c for c in found if c is not None), key=lambda c: c.step)


def latest(checkpoints: Path) -> Checkpoint | None:
    complete = all_complete(checkpoints)
    return complete[-1] if complete else None


def prune(checkpoints: Path, keep: int) -> list[Path]:
    """Deletes all but the newest `keep` complete checkpoints, and unfinished ones older than them.

    verl forgets the checkpoints of earlier processes; this does not.
    """
    complete = all_complete(checkpoints)
    kept = {c.path for c in complete[-keep:]}
    newest = complete[-1].step if complete else -1
    gone = []
    for folder in checkpoints.glob("global_step_*"):
        step = folder.name.removeprefix("global_step_")
        if folder not in kept and step.isdigit() and int(step) < newest:
            shutil.rmtree(folder, ignore_errors=True)
            gone.append(folder)
    return gone
