"""What makes a checkpoint complete: a manifest with size and sha256 of every file, written last.

    begin(folder)                      # global_step_40/.saving: ours, and unfinished
    ...                                # verl writes its shards, we write ours
    write_manifest(folder, 40, ranks)  # global_step_40/complete.json
    examine(folder, hashes=True)       # a Checkpoint, or Unusable with the reason

Every file and folder reaches the disk before the manifest does, so that a power cut cannot leave a
manifest without what it lists. verl's own tracker file (latest_checkpointed_iteration.txt) is
neither read nor needed.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

MANIFEST = "complete.json"
SAVING = ".saving"  # stands in a folder from the first byte of a save to its manifest
OURS = (MANIFEST, f".{MANIFEST}", SAVING)
BLOCK = 1 << 20  # bytes
THREADS = min(8, os.cpu_count() or 1)  # hashing lets go of the interpreter's lock


class Unusable(Exception):
    """A folder that cannot be continued from. `why`: the rest of a sentence about it."""

    def __init__(self, path: Path, why: str) -> None:
        self.path, self.why = path, why
        super().__init__(f"{path} {why}")


class File(NamedTuple):
    size: int
    sha256: str


@dataclass(frozen=True)
class Checkpoint:
    path: Path
    step: int
    ranks: int  # FSDP ranks that wrote the shards
    files: dict[str, File]  # by relative path

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files.values())


def begin(folder: Path) -> None:
    """Makes room for a save. A cut-off save is deleted; what else is there is moved beside."""
    if (folder / SAVING).exists() and not (folder / MANIFEST).exists():
        shutil.rmtree(folder)
    elif folder.exists() or folder.is_symlink():
        os.replace(folder, folder.with_name(time.strftime(f"{folder.name}-before-%Y%m%d-%H%M%S")))
    folder.mkdir(parents=True)
    (folder / SAVING).touch()


def _sha256(path: Path) -> str:
    digest, block = hashlib.sha256(), memoryview(bytearray(BLOCK))
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(block):
            digest.update(block[:size])
    return digest.hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _stamped(path: Path) -> File:
    _sync(path)
    return File(path.stat().st_size, _sha256(path))


def write_manifest(folder: Path, step: int, ranks: int) -> None:
    """Declares a checkpoint complete. Called when every rank has written its shards."""
    inside = sorted(folder.rglob("*"))
    files = [path for path in inside if path.is_file() and path.name not in OURS]
    with ThreadPoolExecutor(THREADS) as pool:
        stamps = list(pool.map(_stamped, files))
    for path in (*(path for path in inside if path.is_dir()), folder, folder.parent):
        _sync(path)
    listed = {
        str(path.relative_to(folder)): {"bytes": stamp.size, "sha256": stamp.sha256}
        for path, stamp in zip(files, stamps, strict=True)
    }
    write_json(folder / MANIFEST, {"step": step, "ranks": ranks, "files": listed})
    (folder / SAVING).unlink(missing_ok=True)
    _sync(folder)


def write_json(file: Path, facts: Mapping[str, Any]) -> None:
    """Whole or not at all, even where the power goes."""
    partial = file.with_name(f".{file.name}")
    with partial.open("w") as out:
        json.dump(facts, out, indent=1)
        out.flush()
        os.fsync(out.fileno())
    os.replace(partial, file)


def _listed(folder: Path) -> Checkpoint:
    try:
        text = (folder / MANIFEST).read_text()
    except FileNotFoundError:
        raise Unusable(folder, f"has no {MANIFEST}: it was not finished") from None
    except (OSError, ValueError) as error:
        raise Unusable(folder, f"has a {MANIFEST} that cannot be read ({error})") from None
    if not text.strip():
        raise Unusable(folder, f"has an empty {MANIFEST}")
    try:
        facts = json.loads(text)
        files = {n: File(f["bytes"], f["sha256"]) for n, f in facts["files"].items()}
        return Checkpoint(folder, int(facts["step"]), int(facts["ranks"]), files)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Unusable(folder, f"has a damaged {MANIFEST}") from None


def _check_sizes(found: Checkpoint) -> None:
    for name, file in found.files.items():
        try:
            size = (found.path / name).stat().st_size
        except OSError:
            raise Unusable(found.path, f"lacks {name}") from None
        if size != file.size:
            why = f"has a cut {name} ({size} of {file.size} bytes)"
            raise Unusable(found.path, why)


def check_hashes(found: Checkpoint, names: Iterable[str]) -> None:
    """Reads these files, every byte of them. Raises Unusable."""

    def damage(name: str) -> str | None:
        try:
            same = _sha256(found.path / name) == found.files[name].sha256
        except OSError as error:
            return f"has a {name} that cannot be read ({error.strerror})"
        return None if same else f"has a damaged {name} (its sha256 is not the manifest's)"

    with ThreadPoolExecutor(THREADS) as pool:
        for why in pool.map(damage, names):
            if why:
                raise Unusable(found.path, why)


def examine(folder: Path, hashes: bool = False) -> Checkpoint:
    """The checkpoint in `folder`. Raises Unusable. `hashes`: reads every byte of it."""
    found = _listed(folder)
    if folder.name != f"global_step_{found.step}":
        raise Unusable(folder, f"holds step {found.step} by its {MANIFEST}")
    _check_sizes(found)
    if hashes:
        check_hashes(found, found.files)
    return found


def read(folder: Path) -> Checkpoint | None:
    """The checkpoint in `folder`, None when it was not finished or has lost files."""
    try:
        return examine(folder)
    except Unusable:
        return None
