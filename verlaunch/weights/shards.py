"""A checkpoint's weights by name, joined from the ranks' shards one tensor at a time.

    shards = Shards(Path("outputs/checkpoints/global_step_60/actor"))
    shards["model.embed_tokens.weight"]        # the whole tensor, fp32, on the CPU

FSDP2 cuts every parameter along one dimension; each rank saves its piece as a DTensor. Files are
mapped, not read: what has not been asked for costs no memory. Left out on purpose: FSDP1's shards,
which need a process group to be read, and optimizer states.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.distributed.tensor import DTensor

from verlaunch.errors import UserError


class CannotExport(UserError):
    """Why these shards make no model."""


def pieces_and_dim(shards: list[Any]) -> tuple[list[torch.Tensor], int | None]:
    """The different pieces of one parameter in rank order, and the dimension that was cut.

    None: every rank has it whole, and the one piece is that.
    """
    first = shards[0]
    if not isinstance(first, DTensor):
        return [first], None
    placement = first.placements[-1]  # the FSDP dimension; one before it replicates
    if placement.is_replicate():
        return [first.to_local()], None
    ranks = first.device_mesh.mesh.shape[-1]
    return [shard.to_local() for shard in shards[:ranks]], placement.dim


def _mapped(file: Path) -> dict[str, Any]:
    try:
        return torch.load(
            file,
            map_location="cpu",
            mmap=True,
            weights_only=False,  # our own files: DTensors are pickled classes
        )
    except FileNotFoundError:
        raise CannotExport(f"{file} is missing: every rank's file is needed.") from None
    except (RuntimeError, EOFError, OSError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CannotExport(f"{file} cannot be read: {why}.") from None


class Shards(Mapping[str, torch.Tensor]):
    """Raises CannotExport when a rank's file is missing, cut off, or its pieces do not fit."""

    def __init__(self, folder: Path) -> None:
        try:
            facts = json.loads((folder / "fsdp_config.json").read_text())
            ranks = facts["world_size"]
        except (OSError, ValueError, KeyError) as error:
            raise CannotExport(f"{folder / 'fsdp_config.json'} cannot be read: {error}.") from None
        if ranks > 1 and facts.get("FSDP_version") == 1:
            raise CannotExport(
                f"{folder} was written by FSDP1 on {ranks} ranks; only FSDP2's shards (strategy "
                "fsdp2, the default) can be joined without a process group."
            )
        files = [folder / f"model_world_size_{ranks}_rank_{rank}.pt" for rank in range(ranks)]
        self.folder = folder
        self.ranks = [_mapped(file) for file in files]
        if any(set(rank) != set(self.ranks[0]) for rank in self.ranks):
            raise CannotExport(f"{folder}: the ranks' files name different weights.")

    def of_ranks(self, name: str) -> list[Any]:
        return [rank[name] for rank in self.ranks]

    def shape(self, name: str) -> torch.Size:
        """Of the whole tensor, without joining it."""
        return self.ranks[0][name].shape

    def __getitem__(self, name: str) -> torch.Tensor:
        pieces, dim = pieces_and_dim(self.of_ranks(name))
        try:
            whole = pieces[0] if dim is None else torch.cat(pieces, dim)
        except RuntimeError:
            whole = pieces[0]
        if whole.shape != self.shape(name):
            raise CannotExport(
                f"{self.folder}: the pieces of {name} make {[tuple(p.shape) for p in pieces]}, "
                f"not {tuple(self.shape(name))}. The files are not of one checkpoint."
            )
        return whole

    def __iter__(self) -> Iterator[str]:
        return iter(self.ranks[0])

    def __len__(self) -> int:
        return len(self.ranks[0])
