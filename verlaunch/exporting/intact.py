"""Are the files that an export reads still the ones that were saved?

    check(checkpoint, ("actor", "critic"))    # raises UserError

A shard of another step or of another rank has the right size and shape: only its hash tells. The
optimizer's files, two thirds of a checkpoint, are not read here.
"""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from verlaunch.checkpoints import Checkpoint
from verlaunch.errors import UserError

BLOCK = 1 << 20  # bytes
THREADS = 4  # hashing lets go of the interpreter's lock
UNREAD = ("optim_", "extra_state_")


def _needed(name: str, roles: Sequence[str]) -> bool:
    role, _, file = name.partition("/")
    return role in roles and not file.startswith(UNREAD)


def check(checkpoint: Checkpoint, roles: Sequence[str]) -> None:
    def fault(name: str) -> str | None:
        digest = hashlib.sha256()
        try:
            with (checkpoint.path / name).open("rb") as file:
                while block := file.read(BLOCK):
                    digest.update(block)
        except OSError as error:
            return f"cannot be read ({error.strerror})"
        same = digest.hexdigest() == checkpoint.files[name].sha256
        return None if same else "is not the file that was saved (another sha256)"

    names = [name for name in checkpoint.files if _needed(name, roles)]
    with ThreadPoolExecutor(THREADS) as pool:
        for name, why in zip(names, pool.map(fault, names), strict=True):
            if why:
                raise UserError(
                    f"{checkpoint.path / name} {why}. Take another checkpoint with --step N."
                )
