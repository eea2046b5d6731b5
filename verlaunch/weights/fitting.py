"""A checkpoint for as many ranks as this run has: itself, or a copy that is cut anew.

    fitting(checkpoint, ranks=2, checkpoints=Path("outputs/checkpoints"))
    ->  Checkpoint(path=.../checkpoints/resharded/global_step_4, ranks=2, ...)

The cutting needs torch, so a child process does it (reshard.py), before Ray starts. The copy
goes when the run has saved a checkpoint of its own (retention.py).
"""

import subprocess
import sys
from pathlib import Path

from verlaunch.errors import UserError
from verlaunch.machine import disk
from verlaunch.record.checkpoints.manifest import Checkpoint, examine
from verlaunch.record.checkpoints.resume import only_by
from verlaunch.record.checkpoints.retention import RESHARDED
from verlaunch.text import plural

COMMAND = (sys.executable, "-m", "verlaunch.weights.reshard")
REFUSED = 2


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
        raise UserError(only_by(found, ranks, done.stdout.strip().splitlines()[-1]))
    if done.returncode:
        raise RuntimeError(f"cutting {found.path} anew failed:\n{done.stderr}")
    return examine(out)
