"""A checkpoint cut anew for other ranks: the same numbers, and training goes on as if nothing was.

Weights and moments come from real FSDP2 ranks (fsdp_ranks.py).
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed.tensor import DTensor

from tests.fsdp_ranks import train
from verlaunch.errors import UserError
from verlaunch.record.checkpoints.manifest import MANIFEST, examine, write_manifest
from verlaunch.weights.fitting import fitting
from verlaunch.weights.reshard import CannotReshard, _span, reshard

pytestmark = pytest.mark.slow

STEP = "global_step_2"


def load(folder: Path, kind: str, ranks: int, role: str = "actor") -> list[Any]:
    files = [folder / role / f"{kind}_world_size_{ranks}_rank_{r}.pt" for r in range(ranks)]
    return [torch.load(file, weights_only=False) for file in files]


def whole(parts: list[Any]) -> Any:
    """The same structure with every tensor joined."""
    first = parts[0]
    if isinstance(first, DTensor):
        joined = torch.cat([part.to_local() for part in parts], first.placements[0].dim)
        assert joined.shape == first.shape
        return joined.tolist()
    if isinstance(first, dict):
        return {key: whole([part[key] for part in parts]) for key in first}
    return first.tolist() if isinstance(first, torch.Tensor) else first


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of three ranks; beside it, `later`, two steps further."""
    folder = tmp_path_factory.mktemp("three") / STEP
    train([folder, folder.with_name("later")], ranks=3)
    for name, content in (("data.pt", "rows"), ("trainer.json", '{"kl_coef": 0.2}')):
        (folder / name).write_text(content)
    write_manifest(folder, 2, 3)
    return folder


@pytest.fixture
def damaged(three: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(three, tmp_path / STEP))


def cut(source: Path, out: Path, ranks: int) -> Path:
    reshard(source, out / STEP, ranks)
    return out / STEP


@pytest.mark.parametrize("size", [0, 1, 2, 5, 7, 8, 260])
@pytest.mark.parametrize("ranks", [1, 2, 3, 8])
def test_pieces_are_cut_where_torch_cuts_them(size: int, ranks: int) -> None:
    pieces = [len(piece) for piece in torch.arange(size).chunk(ranks)] if size else []
    pieces += [0] * (ranks - len(pieces))  # torch makes fewer where a rank gets nothing
    spans = [_span(size, rank, ranks) for rank in range(ranks)]
    assert [end - begin for begin, end in spans] == pieces


@pytest.mark.parametrize("ranks", [1, 2, 5])
def test_weights_and_moments_are_the_same_bit_for_bit(
    three: Path, tmp_path: Path, ranks: int
) -> None:
    out = cut(three, tmp_path, ranks)
    for kind in ("model", "optim"):
        before, after = load(three, kind, 3), load(out, kind, ranks)
        assert whole(after) == whole(before)
        assert type(after[0]) is type(before[0])
    assert examine(out, hashes=True).ranks == ranks


def test_there_and_back_is_the_same_on_every_rank(three: Path, tmp_path: Path) -> None:
    back = cut(cut(three, tmp_path / "two", 2), tmp_path / "back", 3)
    for kind in ("model", "optim"):
        assert whole(load(back, kind, 3)) == whole(load(three, kind, 3))
    for a, b in zip(load(three, "model", 3), load(back, "model", 3), strict=True):
        for name in a:
            assert torch.equal(a[name].to_local(), b[name].to_local())
            assert a[name].placements == b[name].placements
            assert a[name].device_mesh == b[name].device_mesh
            assert a[name].stride() == b[name].stride()


def test_training_goes_on_as_on_the_old_ranks(three: Path, tmp_path: Path) -> None:
    undisturbed, moved = three.with_name("later"), tmp_path / "moved"
    train([moved], ranks=2, source=cut(three, tmp_path, 2))
    for kind in ("model", "optim"):
        torch.testing.assert_close(
            _numbers(whole(load(moved, kind, 2))), _numbers(whole(load(undisturbed, kind, 3)))
        )
    schedules = [load(f, "extra_state", r)[0]["lr_scheduler"] for f, r in
                 ((moved, 2), (undisturbed, 3))]  # fmt: skip
    assert schedules[0] == schedules[1] and schedules[0]["last_epoch"] == 4


def _numbers(found: Any) -> Any:
    """Only what assert_close compares."""
    if isinstance(found, dict):
        return {key: _numbers(value) for key, value in found.items() if key != "param_groups"}
    return torch.tensor(found, dtype=torch.float64)


def test_tied_weights_stay_tied(three: Path, tmp_path: Path) -> None:
    (model,) = load(cut(three, tmp_path, 1), "model", 1)
    tied = [model[name].to_local().data_ptr() for name in ("embed.weight", "head.weight")]
    assert tied[0] == tied[1]


def test_everything_else_comes_along(three: Path, tmp_path: Path) -> None:
    out = cut(three, tmp_path, 4)
    assert (out / "data.pt").read_text() == "rows"
    assert json.loads((out / "trainer.json").read_text()) == {"kl_coef": 0.2}
    assert (out / "actor" / "huggingface" / "config.json").is_file()
    facts = json.loads((out / "actor" / "fsdp_config.json").read_text())
    assert facts == {"FSDP_version": 2, "world_size": 4}
    assert [extra["rng"]["rank"] for extra in load(out, "extra_state", 4)] == [0, 1, 2, 0]
    assert not list(out.rglob("*_world_size_3_*"))


def test_a_missing_rank_is_named_and_nothing_is_left(damaged: Path, tmp_path: Path) -> None:
    gone = damaged / "actor" / "optim_world_size_3_rank_1.pt"
    gone.unlink()
    write_manifest(damaged, 2, 3)
    with pytest.raises(CannotReshard, match=f"{gone} is missing"):
        cut(damaged, tmp_path / "out", 2)
    assert not list((tmp_path / "out").glob("*")) and not list((tmp_path / "out").glob(".*"))


def test_fsdp1_and_other_backends_are_refused(damaged: Path, tmp_path: Path) -> None:
    facts = damaged / "actor" / "fsdp_config.json"
    facts.write_text(json.dumps({"FSDP_version": 1, "world_size": 3}))
    write_manifest(damaged, 2, 3)
    with pytest.raises(CannotReshard, match="written by FSDP1"):
        cut(damaged, tmp_path / "out", 2)
    facts.unlink()
    write_manifest(damaged, 2, 3)
    with pytest.raises(CannotReshard, match="FSDP did not write it"):
        cut(damaged, tmp_path / "out", 2)


def test_what_differs_between_ranks_and_is_no_shard_is_refused(
    damaged: Path, tmp_path: Path
) -> None:
    file = damaged / "actor" / "optim_world_size_3_rank_1.pt"
    state = torch.load(file, weights_only=False)
    state["state"][0]["step"] += 1
    torch.save(state, file)
    write_manifest(damaged, 2, 3)
    with pytest.raises(CannotReshard, match=r"state\.0\.step differs between its ranks"):
        cut(damaged, tmp_path / "out", 2)


def test_a_mesh_of_two_dimensions_is_refused(damaged: Path, tmp_path: Path) -> None:
    from torch.distributed.device_mesh import DeviceMesh

    for rank in range(3):
        file = damaged / "actor" / f"model_world_size_3_rank_{rank}.pt"
        model = torch.load(file, weights_only=False)
        mesh = DeviceMesh("cpu", [[0, 1, 2]], mesh_dim_names=("ddp", "fsdp"),
                          _init_backend=False, _rank=rank)  # fmt: skip
        for tensor in model.values():
            tensor._spec.mesh = mesh
        torch.save(model, file)
    write_manifest(damaged, 2, 3)
    with pytest.raises(CannotReshard, match="a mesh of 1 x 3"):
        cut(damaged, tmp_path / "out", 2)


def test_the_launcher_gets_a_copy_or_the_reason(damaged: Path, tmp_path: Path) -> None:
    found = fitting(examine(damaged), 2, tmp_path / "checkpoints")
    assert found.path == tmp_path / "checkpoints" / "resharded" / STEP
    assert (found.step, found.ranks) == (2, 2)
    (damaged / MANIFEST).unlink()
    (damaged / "actor" / "model_world_size_3_rank_2.pt").unlink()
    write_manifest(damaged, 2, 3)
    with pytest.raises(UserError, match=r"saved by 3 ranks and cannot .* 2: .* is missing. Use"):
        fitting(examine(damaged), 2, tmp_path / "checkpoints")
