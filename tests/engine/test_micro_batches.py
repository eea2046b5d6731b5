"""How a batch is cut in verl's place, and that a metric does not depend on the cut."""

from itertools import chain

import pytest
import torch
from tensordict import TensorDict
from verl.utils import tensordict_utils as tu
from verl.utils.metric import Metric

from verlaunch.engine.training import micro_batches as made

ROWS = [[1, 2, 3], [4], [5, 6, 7], [8]]  # 8 tokens; padded to the longest 12
MASK = [[1, 1, 1], [1], [0, 1, 1], [1]]


@pytest.fixture(autouse=True)
def on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made, "get_device_name", lambda: "cpu")
    monkeypatch.setattr(made, "overhead", lambda device, parameters: 1)


def ragged(rows: list[list[int]]) -> torch.Tensor:
    return torch.nested.as_nested_tensor([torch.tensor(row) for row in rows], layout=torch.jagged)


def batch(**settings: object) -> TensorDict:
    columns = {"input_ids": ragged(ROWS), "loss_mask": ragged(MASK), "index": torch.arange(4)}
    data = TensorDict(columns, 4)
    usual = {"use_dynamic_bsz": True, "max_token_len_per_gpu": 9, "use_remove_padding": False}
    tu.assign_non_tensor(data, **{**usual, "batch_num_tokens": 7, "dp_size": 1, **settings})
    return data


def test_rows_of_like_length_are_cut_together() -> None:
    parts, rows = made.micro_batches(data=batch(), dp_group=None, same_micro_num_in_dp=True)
    assert rows == [[0, 2], [1, 3]]
    assert [part["index"].tolist() for part in parts] == rows
    assert [[row.tolist() for row in part["input_ids"].unbind()] for part in parts] == [
        [[1, 2, 3], [5, 6, 7]],
        [[4], [8]],
    ]
    assert tu.get_non_tensor_data(parts[0], "max_token_len_per_gpu", default=None) == 9


def test_a_batch_of_one_micro_batch_stays_as_it_is() -> None:
    data = batch(use_remove_padding=True)
    parts, rows = made.micro_batches(data=data, dp_group=None)
    assert parts == [data] and rows is None
    assert tu.get_non_tensor_data(data, "use_dynamic_bsz", default=True) is False


@pytest.mark.parametrize(
    ("settings", "rows"),
    [
        ({"use_dynamic_bsz": False, "micro_batch_size_per_gpu": 2}, [[0, 1], [2, 3]]),
        ({"use_remove_padding": True, "max_token_len_per_gpu": 4}, [[0, 3], [1, 2]]),
    ],
)
def test_numbers_of_rows_and_rows_without_padding_are_cut_by_verl(
    settings: dict, rows: list[list[int]]
) -> None:
    parts, _ = made.micro_batches(data=batch(**settings), dp_group=None)
    assert sorted(sorted(part["index"].tolist()) for part in parts) == rows


def test_ranks_have_one_number_of_micro_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda group: 2)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda most, op, group: most.fill_(3))
    parts, rows = made.micro_batches(data=batch(), dp_group="both", same_micro_num_in_dp=True)
    assert len(parts) == 3 and sorted(chain(*rows)) == [0, 1, 2, 3]


def test_a_mean_over_tokens_does_not_depend_on_the_cut() -> None:
    values = {1: 0.5, 4: 2.0}  # of the tokens of rows 0 and 2, and of rows 1 and 3
    parts, _ = made.micro_batches(data=batch(), dp_group=None)
    told = []
    for part, mean in zip(parts, values.values(), strict=True):
        metrics = {"kl": Metric("mean", mean), "loss": Metric("sum", mean), "coef": 3.0}
        made.weigh(metrics, part)
        told.append(metrics)
    means = [each["kl"].values[0] for each in told]
    assert sum(means) / 2 == pytest.approx((5 * 0.5 + 2 * 2.0) / 7)
    assert [each["loss"].values[0] for each in told] == [0.5, 2.0]  # a sum is one already
    assert sum(each["coef"] for each in told) / 2 == pytest.approx(3.0)


def test_without_our_cut_or_without_tokens_a_metric_stays() -> None:
    metrics = {"kl": 0.5}
    made.weigh(metrics, batch())
    made.weigh(metrics, made.micro_batches(data=batch(batch_num_tokens=0), dp_group=None)[0][0])
    assert metrics == {"kl": 0.5}
