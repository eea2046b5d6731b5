"""Rows cross processes as plain arrays, and arrive as what they were."""

import pickle
from typing import Any

import pytest
import torch
from tensordict import TensorDict
from verl.utils import tensordict_utils as tu

from verlaunch.engine.rollout.packing import Rows, packed, unpacked

ROWS = [[1, 2, 3], [4], [5, 6], [7, 8, 9]]


def nested(rows: list[list[int]], dtype: torch.dtype = torch.int64) -> torch.Tensor:
    parts = [torch.tensor(row, dtype=dtype) for row in rows]
    return torch.nested.as_nested_tensor(parts, layout=torch.jagged)


def lists(column: torch.Tensor) -> list[Any]:
    return [row.tolist() for row in column.unbind(0)]


def sent(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing))


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32, torch.bfloat16, torch.bool])
def test_a_column_of_any_type_arrives_as_it_was(dtype: torch.dtype) -> None:
    column = nested(ROWS, dtype)
    found = unpacked(sent(packed(column)))
    assert found.is_nested and found.dtype == dtype
    assert lists(found) == lists(column)
    assert torch.equal(found.to_padded_tensor(0), column.to_padded_tensor(0))
    found.values().zero_()  # what arrives may be written to


def test_numbers_and_all_else_arrive_too() -> None:
    assert unpacked(sent(packed(torch.tensor([0.5, 1.0])))).tolist() == [0.5, 1.0]
    assert unpacked(sent(packed(["a", {"b": 1}]))) == ["a", {"b": 1}]
    images = torch.nested.as_nested_tensor(
        [torch.ones(2, 3), torch.zeros(1, 3)], layout=torch.jagged
    )
    assert lists(unpacked(sent(packed(images)))) == lists(images)


def test_a_slice_of_other_rows_arrives_without_them() -> None:
    whole = nested(ROWS)
    column = torch.nested.nested_tensor_from_jagged(whole.values()[3:], whole.offsets()[1:] - 3)
    assert lists(unpacked(sent(packed(column)))) == ROWS[1:]


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_ranks_get_the_rows_that_verl_would_give_them(ranks: int) -> None:
    columns = {"ids": nested(ROWS), "score": torch.arange(4.0)}
    info = {"temperature": 0.7, "dataloader_kwargs": {"shuffle": False}}
    data = TensorDict(columns, 4)
    tu.assign_non_tensor(data, **info)
    shares = [sent(share) for share in Rows(columns, info, 4).chunk(ranks)]
    for ours, verls in zip(shares, tu.chunk_tensordict(data, ranks), strict=True):
        assert isinstance(ours, TensorDict) and ours.batch_size == verls.batch_size
        assert set(ours.keys()) == set(verls.keys())
        assert lists(ours["ids"]) == lists(verls["ids"])
        assert ours["score"].tolist() == verls["score"].tolist()
        assert {name: tu.get(ours, name) for name in info} == info


def test_rows_of_several_numbers_are_shared_too() -> None:
    experts = torch.nested.as_nested_tensor(
        [torch.full((length, 2), float(length)) for length in (1, 2, 3, 4)], layout=torch.jagged
    )
    first, second = (sent(share) for share in Rows({"experts": experts}, {}, 4).chunk(2))
    assert lists(first["experts"]) + lists(second["experts"]) == lists(experts)


def test_rows_that_ranks_cannot_share_are_refused() -> None:
    with pytest.raises(ValueError, match="4 rows cannot be shared by 3 ranks"):
        Rows({"ids": nested(ROWS)}, {}, 4).chunk(3)
