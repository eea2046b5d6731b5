"""Are the files that an export reads still the ones that were saved?

    check(checkpoint, ("actor", "critic"))    # raises UserError

A shard of another step or of another rank has the right size and shape: only its hash tells. The
optimizer's files, two thirds of a checkpoint, are not read here.
"""

from collections.abc import Sequence

from verlaunch.errors import UserError
from verlaunch.record.checkpoints import Checkpoint, Unusable, check_hashes

UNREAD = ("optim_", "extra_state_")


def _needed(name: str, roles: Sequence[str]) -> bool:
    role, _, file = name.partition("/")
    return role in roles and not file.startswith(UNREAD)


def check(checkpoint: Checkpoint, roles: Sequence[str]) -> None:
    try:
        check_hashes(checkpoint, [name for name in checkpoint.files if _needed(name, roles)])
    except Unusable as reason:
        raise UserError(f"{reason}. Take another checkpoint with --step N.") from None
