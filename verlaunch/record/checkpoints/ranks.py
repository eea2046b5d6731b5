"""Whether a checkpoint can be continued by another number of ranks.

check_ranks(found, 3, settings)   # UserError where its shards are not plain FSDP2's
"""

from collections.abc import Mapping
from typing import Any

from verlaunch.errors import UserError
from verlaunch.record.checkpoints.manifest import Checkpoint
from verlaunch.text import plural

STRATEGIES = ("actor_rollout_ref.actor.strategy", "critic.strategy")
MESHES = ("actor_rollout_ref.actor.fsdp_config.fsdp_size", "critic.fsdp.fsdp_size")


def check_ranks(found: Checkpoint, ranks: int, settings: Mapping[str, Any]) -> None:
    """`settings`: verl's at the keys STRATEGIES and MESHES. Raises UserError."""
    if found.ranks == ranks:
        return
    why = [f"{key}={settings[key]}" for key in STRATEGIES if settings[key] != "fsdp2"]
    why += [f"{key}={settings[key]}" for key in MESHES if 0 <= (settings[key] or -1) < ranks]
    if why:
        told = f"with {', '.join(why)} the shards would not be plain FSDP2's."
        raise UserError(only_by(found, ranks, told))


def only_by(found: Checkpoint, ranks: int, why: str) -> str:
    return (
        f"{found.path} was saved by {plural(found.ranks, 'rank')} and cannot be continued by "
        f"{ranks}: {why} Use --n_gpus {found.ranks} (of several machines as many in all), or "
        "--run_name NAME for a new run."
    )
