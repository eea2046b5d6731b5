"""The micro batches of a batch: cut by padded tokens where rows are padded, and weighed by tokens.

verl has no key for either: its cut is replaced where its engine calls it (shortcuts.py), and its
metrics of a micro batch, which it averages whatever each holds, are weighed before (forward_step).
"""

from typing import Any

import torch
from tensordict import TensorDict
from verl.utils import tensordict_utils as tu
from verl.utils.device import get_device_name
from verl.utils.metric import AggregationType, Metric
from verl.workers.engine.utils import prepare_micro_batches

from verlaunch.engine.training.cutting import cut, overhead

COUNT, PARAMETERS = "micro_batches", "parameters"


def tell_size(data: TensorDict, parameters: int) -> None:
    """Of the model that is to compute the batch: what one more pass costs depends on it."""
    tu.assign_non_tensor(data, **{PARAMETERS: parameters})


def micro_batches(data: TensorDict, **named: Any) -> tuple[list[TensorDict], Any]:
    """In verl's place (workers/engine/utils.py:92): the micro batches, and the rows of each, or
    None where they are in their order."""
    parts, rows = _cut(data, **named)
    for part in parts:
        tu.assign_non_tensor(part, **{COUNT: len(parts)})
    return parts, rows


def _cut(data: TensorDict, **named: Any) -> tuple[list[TensorDict], Any]:
    if not tu.get_non_tensor_data(data, "use_dynamic_bsz", default=True):
        return prepare_micro_batches(data, **named)
    group = named.get("dp_group")
    alone = group is None or torch.distributed.get_world_size(group) == 1
    lengths = data["input_ids"].offsets().diff().tolist()
    if not tu.get_non_tensor_data(data, "use_remove_padding", default=True):
        rows = _padded(data, lengths, None if alone else group)
    elif alone and sum(lengths) <= data["max_token_len_per_gpu"]:
        rows = [list(range(len(lengths)))]
    else:
        return prepare_micro_batches(data, **named)
    if len(rows) == 1:  # nothing to take apart, nor to put in order again (utils.py:250)
        tu.assign_non_tensor(data, use_dynamic_bsz=False)
        return [data], None
    return _parts(data, rows), rows


def _padded(data: TensorDict, lengths: list[int], group: Any) -> list[list[int]]:
    """Ranks have one number of micro batches, since each gathers the weights from all of them; they
    have one number of rows, so that none runs out (single_controller/base/decorator.py)."""
    device, budget = get_device_name(), data["max_token_len_per_gpu"]
    extra = overhead(device, tu.get_non_tensor_data(data, PARAMETERS, default=0))
    rows = cut(lengths, budget, extra)
    if group is None:
        return rows
    most = torch.tensor([len(rows)], device=device)
    torch.distributed.all_reduce(most, op=torch.distributed.ReduceOp.MAX, group=group)
    return cut(lengths, budget, extra, at_least=int(most.item()))


def _parts(data: TensorDict, rows: list[list[int]]) -> list[TensorDict]:
    """As tu.index_select_tensor_dict, which takes all columns apart anew for each part."""
    ragged = {
        key: (value.unbind(), value._ragged_idx)
        for key, value in data.items()
        if isinstance(value, torch.Tensor) and value.is_nested
    }
    rest, parts = data.exclude(*ragged), []
    for part in rows:
        one = tu.index_select_tensor_dict(rest, part)
        for key, (each, at) in ragged.items():
            one[key] = tu.nested_tensor_from_tensor_list([each[row] for row in part], at)
        parts.append(one)
    return parts


def weigh(metrics: dict[str, Any], part: TensorDict) -> None:
    """Means of one micro batch are made shares of the mean over the tokens of all ranks.

    verl takes the plain mean over micro batches and ranks, in which the few tokens of short rows
    would count as much as the many of long ones."""
    count = tu.get_non_tensor_data(part, COUNT, default=None)
    tokens = tu.get_non_tensor_data(part, "batch_num_tokens", default=None)
    if not count or not tokens or not metrics:
        return
    ranks = tu.get_non_tensor_data(part, "dp_size", default=1)
    share = part["loss_mask"].sum().item() * count * ranks / tokens
    for name, value in metrics.items():
        if isinstance(value, Metric) and value.aggregation is AggregationType.MEAN:
            value.values = [one * share for one in value.values]
        elif isinstance(value, int | float):
            metrics[name] = value * share
