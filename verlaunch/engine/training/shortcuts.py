"""verl's ways of cutting and sorting a batch, replaced where they cost more than they need.

    shortcuts.install()      # in a process that trains, or that holds the trainer

verl takes all rows of a batch apart and puts them together again for one mini batch and for one
rank as well. For 128 short rows that costs more than the forward pass of a small model; on a GPU
with a thousand rows it is waited for just the same. Its micro batches are mostly padding
(micro_batches.py). verl has no key and no method for any of the three, so its functions are
replaced where they are called.
"""

from collections.abc import Iterator
from typing import Any

from tensordict import TensorDict
from verl.trainer.ppo.v1 import trainer_base
from verl.utils import tensordict_utils as tu
from verl.utils.seqlen_balancing import get_seqlen_balanced_partitions
from verl.workers.engine.fsdp import transformer_impl

from verlaunch.engine.training.micro_batches import micro_batches

_make_iterator = tu.make_iterator


def mini_batches(
    tensordict: TensorDict, mini_batch_size: int, epochs: int, **named: Any
) -> Iterator[TensorDict]:
    """Of the batch's own size: the batch, once per epoch; a sum over rows does not mind their
    order. verl's: utils/tensordict_utils.py:559."""
    if mini_batch_size == len(tensordict):
        return (tensordict.copy() for _ in range(epochs))
    return _make_iterator(tensordict, mini_batch_size, epochs, **named)


def partitions(seqlen_list: Any, k_partitions: int, equal_size: bool) -> list[list[int]]:
    """For one rank: all rows in their order, as verl's gives them, after sorting all differences
    (utils/seqlen_balancing.py:24)."""
    if k_partitions == 1:
        return [list(range(len(seqlen_list)))]
    return get_seqlen_balanced_partitions(seqlen_list, k_partitions, equal_size)


def install() -> None:
    transformer_impl.prepare_micro_batches = micro_batches
    tu.make_iterator = mini_batches
    trainer_base.get_seqlen_balanced_partitions = partitions
