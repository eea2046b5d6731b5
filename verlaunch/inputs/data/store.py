"""Prepared data is kept by what it was made from: the same content and settings, the same folder.

    folder = kept(cache / key, build)

A folder appears by one rename when it is complete, so a killed run leaves nothing that a later one
would believe, and two runs at once simply make it twice.
"""

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from verlaunch.errors import UserError

META = "meta.json"
HASH_WHOLE = 64 << 20  # larger files: size, time, first and last MiB, so that a start stays quick
EDGE = 1 << 20
NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR,
                errno.EEXIST)  # fmt: skip


def file_digest(path: Path) -> str:
    """A hash of the content; of size, time and both ends for files above 64 MiB."""
    stat = path.stat()
    digest = hashlib.sha256()
    with path.open("rb") as file:
        if stat.st_size > HASH_WHOLE:
            digest.update(f"{stat.st_size} {stat.st_mtime_ns}".encode())
            digest.update(file.read(EDGE))
            file.seek(-EDGE, os.SEEK_END)
        while chunk := file.read(EDGE):
            digest.update(chunk)
    return digest.hexdigest()


def key_of(facts: Any) -> str:
    """facts: anything that json can write."""
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def load(folder: Path) -> dict[str, Any] | None:
    """The meta of a complete folder; None when it is not there or a file was cut or removed."""
    try:
        meta = json.loads((folder / META).read_text())
        sizes = {name: (folder / name).stat().st_size for name in meta["sizes"]}
    except (OSError, ValueError, KeyError):
        return None
    return meta if sizes == meta["sizes"] else None


def kept(folder: Path, build: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """Runs `build` in a temporary folder beside `folder`, then renames; returns the meta."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".making-", dir=folder.parent) as temporary:
            made = Path(temporary) / "made"
            made.mkdir()
            meta = build(made)
            meta["sizes"] = {file.name: file.stat().st_size for file in made.iterdir()}
            (made / META).write_text(json.dumps(meta, indent=1))
            _move(made, folder)
    except OSError as error:
        if error.errno not in NOT_WRITABLE:
            raise
        raise UserError(
            f"{folder.parent} cannot be written: {error.strerror}. "
            "Choose another folder with VERLAUNCH_CACHE=FOLDER."
        ) from None
    return meta


def _move(made: Path, folder: Path) -> None:
    if load(folder) is not None:
        return  # another run was quicker; its files are the same
    shutil.rmtree(folder, ignore_errors=True)  # one with a file missing
    try:
        made.rename(folder)
    except OSError:
        if load(folder) is None:
            raise
