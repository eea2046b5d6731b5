"""Ranks that talk to each other, as a run's do: processes, gloo or NCCL.

facts = spawned(measure, {"ranks": 2, "on_gpus": False, ...})   # what rank 0 returned

They meet by a file: a port that is free now may be another program's a moment later.
"""

import json
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

PATIENCE = timedelta(seconds=60)  # of one rank for the others
Work = Callable[[int, int, str, dict[str, Any]], dict[str, Any]]


def _rank(rank: int, work: Work, given: dict[str, Any], folder: str) -> None:
    """folder: where they meet, and where what rank 0 returned is left."""
    import torch
    from torch import distributed

    torch.set_num_threads(1)
    ranks, on_gpus = given["ranks"], given["on_gpus"]
    device = f"cuda:{rank}" if on_gpus else "cpu"
    if on_gpus:
        torch.cuda.set_device(rank)
    distributed.init_process_group(
        "nccl" if on_gpus else "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=ranks,
        timeout=PATIENCE,
    )
    found = work(rank, ranks, device, given)
    if rank == 0:
        Path(folder, "rank0.json").write_text(json.dumps(found))
    distributed.barrier()
    distributed.destroy_process_group()


def spawned(work: Work, given: dict[str, Any]) -> dict[str, Any]:
    """`work` is a function of a module: it travels by name."""
    from torch.multiprocessing.spawn import spawn

    with tempfile.TemporaryDirectory() as folder:
        spawn(_rank, (work, given, folder), nprocs=given["ranks"])
        return json.loads(Path(folder, "rank0.json").read_text())
