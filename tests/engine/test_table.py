"""The trainer's table: rows come back as they were put, whatever was put and asked for together."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from tensordict import NonTensorStack, TensorDict

from verlaunch.engine.rollout.table import Table, columns_of

KEYS = ["a_0_0", "b_0_0", "c_0_0"]
LENGTHS = [2, 3, 1]


def nested(rows: Sequence[list[int]]) -> torch.Tensor:
    parts = [torch.tensor(row) for row in rows]
    return torch.nested.as_nested_tensor(parts, layout=torch.jagged)


def lists(column: Any) -> list[Any]:
    """Of a column of tensors, or of anything else."""
    rows = column.unbind(0) if isinstance(column, torch.Tensor) else list(column)
    return [getattr(row, "tolist", lambda row=row: row)() for row in rows]


@pytest.fixture
def table() -> Table:
    filled = Table()
    rows = {
        "responses": nested([[1, 2], [3, 4, 5], [6]]),
        "score": torch.tensor([0.0, 0.5, 1.0]),
        "extra_fields": [{"n": 1}, {"n": 2}, {"n": 3}],
    }
    filled.put(KEYS, "train", rows, [{"response_len": length} for length in LENGTHS])
    return filled


def test_what_is_asked_for_as_it_was_put_is_the_very_same_tensor(table: Table) -> None:
    responses = nested([[7], [8, 9], [10]])
    table.put(KEYS, "train", {"more": responses})
    assert table.get(KEYS, "train", ["more"])["more"] is responses


@pytest.mark.parametrize("order", [[2, 0, 1], [1], [0, 2], [1, 1]])
def test_rows_come_in_the_order_that_is_asked_for(table: Table, order: list[int]) -> None:
    for _ in range(2):  # the second time from what the first has cut
        found = table.get([KEYS[i] for i in order], "train")
        responses, scores = [[1, 2], [3, 4, 5], [6]], [0.0, 0.5, 1.0]
        assert lists(found["responses"]) == [responses[i] for i in order]
        assert found["score"].tolist() == [scores[i] for i in order]
        assert lists(found["extra_fields"]) == [{"n": i + 1} for i in order]
    assert lists(table.get(KEYS, "train")["responses"]) == responses


def test_rows_that_were_put_apart_are_one_batch(table: Table) -> None:
    table.put(["d_0_0"], "train", {"responses": nested([[7, 8]]), "score": torch.tensor([2.0])})
    found = table.get(["d_0_0", "a_0_0"], "train")
    assert lists(found["responses"]) == [[7, 8], [1, 2]]
    assert found["score"].tolist() == [2.0, 0.0]
    assert "extra_fields" not in found  # the new row has none


def test_one_key_and_one_field_may_be_given_alone(table: Table) -> None:
    found = table.get("b_0_0", "train", "responses")
    assert list(found.keys()) == ["responses"]
    assert lists(found["responses"]) == [[3, 4, 5]]


def test_rows_of_one_length_by_chance_stay_nested() -> None:
    table = Table()
    for column in (torch.tensor([[1, 2], [3, 4]]), nested([[1, 2], [3, 4]])):
        table.put(["a", "b"], "train", {"ids": column})
        assert table.get(["a", "b"], "train")["ids"].is_nested
        assert table.get(["b"], "train")["ids"].is_nested
    assert columns_of([{"ids": torch.tensor([1])}, {"ids": torch.tensor([2])}])["ids"].is_nested


@pytest.mark.parametrize("wrap", [list, lambda rows: NonTensorStack(*rows)])
def test_python_objects_come_back_without_wrappings(wrap: Any) -> None:
    rows = [{"ground_truth": "4"}, {"ground_truth": ""}]
    table = Table()
    table.put(["a", "b"], "train", TensorDict({"reward_model": wrap(rows)}, batch_size=2))
    assert lists(table.get(["b", "a"], "train")["reward_model"]) == rows[::-1]
    assert table.get(["a", "b"], "train").pop("reward_model").tolist() == rows  # as verl does


def test_a_column_that_is_put_again_is_the_new_one(table: Table) -> None:
    table.put(["a_0_0", "c_0_0"], "train", {"score": torch.tensor([5.0, 6.0])})
    assert table.get(KEYS, "train", ["score"])["score"].tolist() == [5.0, 0.5, 6.0]


def test_tags_add_up_and_are_those_of_the_keys_in_order(table: Table) -> None:
    meta = table.put(["c_0_0", "a_0_0"], "train", tags=[{"seq_len": 8}, {"seq_len": 9}])
    assert meta.tags == [
        {"response_len": 1, "seq_len": 8},
        {"response_len": 2, "seq_len": 9},
    ]
    assert meta.keys == ["c_0_0", "a_0_0"] and meta.partition_id == "train"
    assert set(meta.fields) == {"responses", "score", "extra_fields"}
    assert table.tags()["train"]["b_0_0"] == {"response_len": 3}
    assert table.tags("val") == {}


def test_a_prompt_is_a_row_without_fields() -> None:
    table = Table()
    table.put(["a"], "train", tags=[{"is_prompt": True, "status": "pending"}])
    table.put(["a"], "train", tags=[{"status": "finished"}])
    assert table.tags("train") == {"train": {"a": {"is_prompt": True, "status": "finished"}}}
    assert list(table.get(["a"], "train").keys()) == []


def test_partitions_are_apart(table: Table) -> None:
    table.put(KEYS[:1], "val", {"responses": nested([[9]])})
    table.clear(KEYS, "train")
    assert lists(table.get("a_0_0", "val")["responses"]) == [[9]]


def test_rows_that_are_cleared_or_never_were_are_missing(table: Table) -> None:
    table.clear(["a_0_0", "c_0_0"], "train")
    table.clear("never", "train")
    assert lists(table.get(["b_0_0"], "train")["responses"]) == [[3, 4, 5]]
    with pytest.raises(ValueError, match="2 of 3 rows are not there, as a_0_0"):
        table.get(KEYS, "train")


def test_a_cleared_table_holds_no_tensor(table: Table) -> None:
    table.clear(KEYS, "train")
    assert not any(table.partitions["train"].where.values())


def test_a_worker_gets_tensors_and_no_texts(table: Table) -> None:
    found = table.take(KEYS[::-1], "train")
    assert found.keys() == {"responses", "score"}
    assert lists(found["responses"]) == [[6], [3, 4, 5], [1, 2]]


def test_a_worker_gets_no_column_that_only_some_rows_have(table: Table) -> None:
    table.put(KEYS[:1], "train", {"values": nested([[1, 1]])})
    assert "values" not in table.take(KEYS, "train")
    assert "values" in table.take(KEYS[:1], "train")
