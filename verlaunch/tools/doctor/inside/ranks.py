"""Ranks that talk to each other, as a run's do: processes, gloo or NCCL.

facts = spawned(measure, ranks=2, on_gpus=False, given={...})   # what rank 0 returned

They meet by a file: a port that is free now may be another program's a moment later.
"""

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

PATIENCE = timedelta(seconds=60)  # of one rank for the others
Work = Callable[[int, int, str, dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class _Task:
    """What each rank gets. meeting, out: files, where they meet and for what rank 0 returned."""

    ranks: int
    on_gpus: bool
    work: Work
    given: dict[str, Any]
    meeting: str
    out: str


def _rank(rank: int, task: _Task) -> None:
    import torch
    from torch import distributed

    torch.set_num_threads(1)
    device = f"cuda:{rank}" if task.on_gpus else "cpu"
    if task.on_gpus:
        torch.cuda.set_device(rank)
    distributed.init_process_group(
        "nccl" if task.on_gpus else "gloo",
        init_method=f"file://{task.meeting}",
        rank=rank,
        world_size=task.ranks,
        timeout=PATIENCE,
    )
    found = task.work(rank, task.ranks, device, task.given)
    if rank == 0:
        Path(task.out).write_text(json.dumps(found))
    distributed.barrier()
    distributed.destroy_process_group()


def spawned(work: Work, ranks: int, on_gpus: bool, given: dict[str, Any]) -> dict[str, Any]:
    """`work` is a function of a module: it travels by name."""
    from torch.multiprocessing.spawn import spawn

    with tempfile.TemporaryDirectory() as folder:
        out, meeting = os.path.join(folder, "rank0.json"), os.path.join(folder, "meeting")
        spawn(_rank, (_Task(ranks, on_gpus, work, given, meeting, out),), nprocs=ranks)
        return json.loads(Path(out).read_text())
