"""A checkpoint for as many ranks as this run has: itself, or a copy that is cut anew.

    fitting(checkpoint, ranks=2, checkpoints=Path("outputs/checkpoints"))
    ->  Checkpoint(path=.../checkpoints/resharded/global_step_4, ranks=2, ...)

The cutting needs torch, so a child process does it (engine/reshard.py), before Ray starts. The copy
goes when the run has saved a checkpoint of its own (retention.py).
"""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from verlaunch import disk
from verlaunch.batch import plural
from verlaunch.checkpoints.manifest import Checkpoint, examine
from verlaunch.checkpoints.retention import RESHARDED
from verlaunch.errors import UserError

COMMAND = (sys.executable, "-m", "verlaunch.engine.reshard")
REFUSED = 2
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
        raise UserError(_only_by(found, ranks, told))


def _only_by(found: Checkpoint, ranks: int, why: str) -> str:
    return (
        f"{found.path} was saved by {plural(found.ranks, 'rank')} and cannot be continued by "
        f"{ranks}: {why} Use --n_gpus {found.ranks} (of several machines as many in all), or "
        "--run_name NAME for a new run."
    )


def fitting(found: Checkpoint, ranks: int, checkpoints: Path) -> Checkpoint:
    """Raises UserError when there is no room, or the shards cannot be cut anew."""
    if found.ranks == ranks:
        return found
    out = checkpoints / RESHARDED / found.path.name
    needed, free = int(found.size * disk.MARGIN), disk.free(out)
    if free < needed:
        raise UserError(
            f"Continuing {found.path} on {plural(ranks, 'rank')} needs {disk.amount(needed)} for a "
            f"copy in {out.parent}, which has {disk.amount(free)} free. Make room, or use "
            f"--n_gpus {found.ranks} (of several machines as many in all)."
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    command = [*COMMAND, str(found.path), str(out), str(ranks)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == REFUSED:
        raise UserError(_only_by(found, ranks, done.stdout.strip().splitlines()[-1]))
    if done.returncode:
        raise RuntimeError(f"cutting {found.path} anew failed:\n{done.stderr}")
    return examine(out)
