"""FSDP2 ranks of a tiny model that train, save and load as verl's checkpoint manager does.

    train([here, there], ranks=3)            # two steps and a save, two more and another
    train([there], ranks=2, source=here)     # two steps from a checkpoint, and a save

The sizes divide by nothing, so that last shards are short or empty; two weights are tied, one is
frozen, as in a model with an adapter.
"""

import json
import socket
from pathlib import Path
from typing import Any

import torch
from torch import nn

STEPS = 2


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 5)
        self.frozen = nn.Linear(5, 5)
        self.frozen.requires_grad_(False)
        self.head = nn.Linear(5, 7, bias=False)
        self.head.weight = self.embed.weight
        self.score = nn.Linear(7, 1)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.score(torch.tanh(self.head(self.frozen(self.embed(ids)))))


def _file(folder: Path, kind: str, rank: int, ranks: int) -> Path:
    return folder / "actor" / f"{kind}_world_size_{ranks}_rank_{rank}.pt"


def _save(folder: Path, rank: int, ranks: int, model: Any, optimizer: Any, schedule: Any) -> None:
    torch.save(model.state_dict(), _file(folder, "model", rank, ranks))
    torch.save(optimizer.state_dict(), _file(folder, "optim", rank, ranks))
    extra = {"lr_scheduler": schedule.state_dict(), "rng": {"rank": rank}}
    torch.save(extra, _file(folder, "extra_state", rank, ranks))


def _load(folder: Path, rank: int, ranks: int, model: Any, optimizer: Any, schedule: Any) -> None:
    def load(kind: str) -> Any:
        return torch.load(_file(folder, kind, rank, ranks), weights_only=False)

    model.load_state_dict(load("model"))
    optimizer.load_state_dict(load("optim"))
    schedule.load_state_dict(load("extra_state")["lr_scheduler"])


def _rank(rank: int, ranks: int, port: int, folders: list[Path], source: Path | None) -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=ranks
    )
    torch.manual_seed(0)
    model = Tiny()
    fully_shard(model, mesh=init_device_mesh("cpu", (ranks,), mesh_dim_names=("fsdp",)))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
    if source:
        _load(source, rank, ranks, model, optimizer, schedule)
    for folder in folders:
        for _ in range(STEPS):
            optimizer.zero_grad()
            model(torch.arange(7)).square().sum().backward()  # the same rows on every rank
            optimizer.step()
            schedule.step()
        _save(folder, rank, ranks, model, optimizer, schedule)
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def train(folders: list[Path], ranks: int, source: Path | None = None) -> None:
    """A checkpoint after every two steps, in each of `folders`."""
    from torch.multiprocessing.spawn import spawn

    for folder in folders:
        (folder / "actor" / "huggingface").mkdir(parents=True)
        (folder / "actor" / "huggingface" / "config.json").write_text("{}")
        facts = {"FSDP_version": 2, "world_size": ranks}
        (folder / "actor" / "fsdp_config.json").write_text(json.dumps(facts))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    spawn(_rank, (ranks, port, folders, source), nprocs=ranks)
