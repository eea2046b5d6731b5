"""A checkpoint of W ranks -> one of V ranks, with the same weights and the same optimizer.

    python -m verlaunch.weights.reshard outputs/checkpoints/global_step_4 \
        outputs/checkpoints/resharded/global_step_4 2

FSDP2 cuts every parameter along one dimension into as many pieces as there are ranks, the last ones
shorter or empty (torch.chunk); Adam's moments are cut the same way. Here the pieces are cut anew,
bit for bit, one rank's file at a time: source files are mapped, so memory holds one new piece of
1/V, and no process group is needed. Rank r goes on with the random state of rank r % W.

Refused: FSDP1 (its optimizer is a flat tensor per rank), meshes of two dimensions (HSDP), tensors
that are whole on every rank and yet differ. Exit code 2, with the reason as the last line.
"""

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.distributed.tensor._dtensor_spec import DTensorSpec, TensorMeta

from verlaunch.machine import disk
from verlaunch.record.checkpoints.manifest import MANIFEST, examine, write_manifest

FACTS = "fsdp_config.json"
SHARD = re.compile(r"(.+)_world_size_(\d+)_rank_(\d+)\.pt")
EXTRA = "extra_state"  # scheduler and random state: a rank's own, nothing to cut
REFUSED = 2


class CannotReshard(Exception):
    """One sentence: why this checkpoint can only be continued by as many ranks as wrote it."""


def _span(size: int, rank: int, ranks: int) -> tuple[int, int]:
    """Where a rank's piece begins and ends, as torch.chunk cuts it."""
    piece = -(-size // ranks)
    return min(rank * piece, size), min((rank + 1) * piece, size)


def _cut(pieces: list[torch.Tensor], dim: int, begin: int, end: int) -> torch.Tensor:
    """[begin, end) of what the pieces are together, in memory of its own."""
    found, start = [], 0
    for piece in pieces:
        low, high = max(begin - start, 0), min(end - start, piece.shape[dim])
        if low < high:
            found.append(piece.narrow(dim, low, high - low))
        start += piece.shape[dim]
    return torch.cat(found or [pieces[0].narrow(dim, 0, 0)], dim).clone()


class Resharding:
    """One file of one new rank. `mesh`: the new one, seen from that rank."""

    def __init__(self, rank: int, ranks: int) -> None:
        self.rank, self.ranks = rank, ranks
        self.done: dict[tuple[int, int, torch.Size], torch.Tensor] = {}  # tied weights stay tied

    def of(self, parts: list[Any], name: str) -> Any:
        """What every old rank holds at one place -> what the new rank holds there."""
        first = parts[0]
        if isinstance(first, DTensor):
            return self._tensor(parts, name)
        if isinstance(first, dict):
            if any(part.keys() != first.keys() for part in parts):
                raise CannotReshard(f"its ranks hold different names at {name or 'the top'}.")
            new = type(first)((key, self.of([p[key] for p in parts], f"{name}.{key}".strip(".")))
                              for key in first)  # fmt: skip
            if hasattr(first, "__dict__"):  # a state dict carries versions beside its items
                vars(new).update(vars(first))
            return new
        if isinstance(first, list | tuple):
            return type(first)(
                self.of(list(found), f"{name}.{i}")
                for i, found in enumerate(zip(*parts, strict=True))
            )
        if isinstance(first, torch.Tensor):
            if not all(torch.equal(part, first) for part in parts):
                raise CannotReshard(f"{name} differs between its ranks and is no shard.")
            return first.clone()
        return first

    def _tensor(self, parts: list[DTensor], name: str) -> DTensor:
        first = parts[0]
        mesh = first.device_mesh
        if mesh.ndim != 1 or mesh.size() != len(parts):
            shape = " x ".join(map(str, mesh.shape))
            raise CannotReshard(f"its ranks form a mesh of {shape} (hybrid sharding, fsdp_size).")
        (placement,) = first.placements
        pieces = [part.to_local() for part in parts]
        if isinstance(placement, Replicate):
            local = pieces[0].clone()
        elif type(placement) is Shard:
            local = self._shard(pieces, placement.dim, first.shape, name)
        else:
            raise CannotReshard(f"{name} is placed as {placement}, which is no plain shard.")
        new = DeviceMesh(mesh.device_type, list(range(self.ranks)), _init_backend=False,
                         mesh_dim_names=mesh.mesh_dim_names, _rank=self.rank)  # fmt: skip
        meta = TensorMeta(first.shape, first.stride(), first.dtype)
        spec = DTensorSpec(new, (placement,), tensor_meta=meta)
        return DTensor(local, spec, requires_grad=False)

    def _shard(
        self, pieces: list[torch.Tensor], dim: int, shape: torch.Size, name: str
    ) -> torch.Tensor:
        if sum(piece.shape[dim] for piece in pieces) != shape[dim]:
            raise CannotReshard(f"the pieces of {name} do not make up {tuple(shape)}.")
        place = (pieces[0].untyped_storage().data_ptr(), pieces[0].storage_offset(), shape)
        if place not in self.done or not pieces[0].numel():
            self.done[place] = _cut(pieces, dim, *_span(shape[dim], self.rank, self.ranks))
        return self.done[place]


def _mapped(file: Path) -> Any:
    # Our own files: DTensors are pickled classes.
    return torch.load(file, map_location="cpu", mmap=True, weights_only=False)


def _shards(folder: Path, world: int) -> dict[str, list[Path]]:
    """The ranks' files by kind, in rank order."""
    kinds = {match[1] for path in folder.iterdir() if (match := SHARD.fullmatch(path.name))}
    found = {
        kind: [folder / f"{kind}_world_size_{world}_rank_{rank}.pt" for rank in range(world)]
        for kind in sorted(kinds)
    }
    for file in (file for files in found.values() for file in files):
        if not file.is_file():
            raise CannotReshard(f"{file} is missing.")
    return found


def _role(source: Path, out: Path, ranks: int) -> None:
    facts = json.loads((source / FACTS).read_text())
    if facts["FSDP_version"] != 2:
        raise CannotReshard("it was written by FSDP1; only shards of FSDP2 can be cut anew.")
    for kind, files in _shards(source, facts["world_size"]).items():
        if kind == EXTRA:
            for rank in range(ranks):
                name = f"{kind}_world_size_{ranks}_rank_{rank}.pt"
                shutil.copyfile(files[rank % len(files)], out / name)
            continue
        parts = [_mapped(file) for file in files]
        for rank in range(ranks):
            new = Resharding(rank, ranks).of(parts, "")
            torch.save(new, out / f"{kind}_world_size_{ranks}_rank_{rank}.pt")
    (out / FACTS).write_text(json.dumps({**facts, "world_size": ranks}, indent=4))


def _left_out(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if SHARD.fullmatch(name) or name == MANIFEST]


def reshard(source: Path, out: Path, ranks: int) -> None:
    """Writes `out`, whole or not at all. Raises CannotReshard."""
    roles = [path.parent.name for path in source.glob(f"*/{FACTS}")]
    if "actor" not in roles:
        raise CannotReshard(f"it has no actor/{FACTS}: FSDP did not write it.")
    step = examine(source).step
    with disk.building(out) as building:
        shutil.copytree(source, building, ignore=_left_out, dirs_exist_ok=True)
        for role in roles:
            _role(source / role, building / role, ranks)
        write_manifest(building, step, ranks)


def main(source: str, out: str, ranks: str) -> int:
    try:
        reshard(Path(source), Path(out), int(ranks))
    except CannotReshard as reason:
        print(reason)
        return REFUSED
    except Exception as error:  # torch has its own class for a full disk
        if not disk.is_full(error):
            raise
        print(f"the disk is full: {disk.amount(disk.free(Path(out)))} are free at {out}.")
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
