"""Stands in the place of verl's queue: rows stay with the trainer and travel with the calls.

    queue.install()                      # in the trainer's process, before verl opens its queue
    self.critic_wg = Handed(self.critic_wg)

verl hands every batch through TransferQueue, a controller and storage in processes of their own
which each part of a step asks anew, row by row: 0.09 s for 128 short rows, nine times a step, and
two processes of 0.4 GiB. A trainer that waits for each part of a step anyway can keep the rows
(table.py) and hand them to the workers as arguments, which verl's workers take as well.

verl has no key for that: trainer, replay buffer and padding call the functions of the module
`transfer_queue` (trainer/ppo/v1/trainer_base.py:30, replay_buffer.py:20, padding_utils.py:32), so
these functions are replaced, in this process and in the rollout workers'. Rows that are larger than
the trainer's machine can pass on, as of videos, would want the queue back.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
import transfer_queue
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.protocol import DataProtoFuture

from verlaunch.engine.rollout.packing import Rows
from verlaunch.engine.rollout.table import Table

TABLE = Table()


def _nothing(*_: Any, **__: Any) -> None:
    return None


def install() -> None:
    """For all of verl in this process."""
    transfer_queue.init = transfer_queue.close = _nothing
    transfer_queue.kv_batch_put = TABLE.put
    transfer_queue.kv_batch_get = TABLE.get
    transfer_queue.kv_list = TABLE.tags
    transfer_queue.kv_clear = TABLE.clear


class Handed:
    """verl's worker group, whose workers get a batch's rows with the call and answer with rows."""

    ROWS = ("compute_log_prob", "compute_ref_log_prob", "infer_batch")
    METRICS = ("train_mini_batch", "update_actor")

    def __init__(self, group: Any) -> None:
        self._group = group
        self._ahead: dict[str, Any] = {}

    def send(self, name: str, batch: KVBatchMeta, info: Mapping[str, Any]) -> None:
        """One of ROWS, asked for now: the trainer's own call, later, gets this answer. info: what
        the trainer's call will say of the whole batch.

        Several ranks are asked one thing at a time: verl's worker has an async method, so Ray lets
        a call overtake one whose rows arrive later (ray/actor.py:2170), and ranks that are in
        different calls give each other's collectives the wrong tensors."""
        if self._group.world_size > 1:
            return
        self._ahead[name] = getattr(self._group, name)(_taken(batch, info))

    def _rows(self, name: str, batch: KVBatchMeta) -> KVBatchMeta:
        answer = self._ahead.pop(name, None)
        if answer is None:
            answer = getattr(self._group, name)(_taken(batch, batch.extra_info))
        return _with_rows(batch, answer)

    def __getattr__(self, name: str) -> Any:
        if name in self.ROWS:
            return partial(self._rows, name)
        method = getattr(self._group, name)
        if name in self.METRICS:
            return lambda batch: method(_taken(batch, batch.extra_info))
        return method


def _taken(batch: KVBatchMeta, info: Mapping[str, Any]) -> Rows:
    return Rows(TABLE.take(batch.keys, batch.partition_id), info, len(batch))


def _with_rows(batch: KVBatchMeta, answer: TensorDict | DataProtoFuture) -> KVBatchMeta:
    answer = answer.get() if isinstance(answer, DataProtoFuture) else answer
    rows = {name: value for name, value in answer.items() if isinstance(value, torch.Tensor)}
    meta = TABLE.put(batch.keys, batch.partition_id, rows)
    meta.futures = []  # some of verl's calls wait for them (trainer_base.py:1732)
    return meta
