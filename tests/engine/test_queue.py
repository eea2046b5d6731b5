"""verl's trainer, replay buffer, padding and worker groups work on the trainer's table."""

import pickle
from types import SimpleNamespace
from typing import Any

import pytest
import ray
import torch
import transfer_queue
from omegaconf import OmegaConf
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.experimental.agent_loop.agent_loop import AgentLoopOutput
from verl.protocol import DataProtoFuture
from verl.single_controller.base.decorator import _split_args_kwargs_data_proto
from verl.trainer.ppo.padding_utils import upsample_batch_to_divisible_size
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer
from verl.trainer.ppo.v1.trainer_base import _count_tq_prompt_groups
from verl.utils import tensordict_utils as tu
from verl.workers.utils.padding import response_from_nested

from verlaunch.engine.rollout import queue
from verlaunch.engine.rollout.packing import Rows, unpacked
from verlaunch.engine.rollout.rollout import Outbox, row_of
from verlaunch.engine.rollout.table import Table

REPLACED = ("init", "close", "kv_batch_put", "kv_batch_get", "kv_list", "kv_clear")
EOS = 2


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Table:
    """In the place of verl's queue, for one test."""
    for name in REPLACED:
        monkeypatch.setattr(transfer_queue, name, getattr(transfer_queue, name))
    monkeypatch.setattr(queue, "TABLE", Table())
    queue.install()
    return queue.TABLE


def rolled_out(table: Table, **responses: list[int]) -> None:
    """Prompts by uid that have a response, as a rollout worker sends them."""
    outbox = Outbox()
    for uid, ids in responses.items():
        table.put(
            [uid], "train", tags=[{"is_prompt": True, "status": "pending", "global_steps": 1}]
        )
        output = AgentLoopOutput(
            prompt_ids=[5, 6], response_ids=ids, response_mask=[1] * len(ids), num_turns=2,
            reward_score=float(len(ids)), metrics={},
            extra_fields={"reward_extra_info": {"answered": 1.0}},
        )  # fmt: skip
        told = {"uid": uid, "session_id": 0, "global_steps": 1, "raw_prompt": [{"content": uid}],
                "data_source": "sums", "reward_model": {"ground_truth": "4"}}  # fmt: skip
        outbox.put("train", *row_of(output, told))
        outbox.put("train", uid, {}, {"status": "finished"})
    for parcel in outbox.parcels():
        columns = {name: unpacked(column) for name, column in parcel.columns.items()}
        table.put(parcel.keys, parcel.partition, columns, parcel.tags)


def sampled(count: int) -> KVBatchMeta:
    config = OmegaConf.create({})
    buffer = ReplayBuffer("sync", config, None, "drop", config)
    batch, _ = buffer.sample(global_steps=1, partition_id="train", batch_size=count)
    return batch


def unpadded(column: torch.Tensor) -> list[list[Any]]:
    return [row.tolist() for row in column.unbind(0)]


def test_opening_verls_queue_starts_nothing(table: Table) -> None:
    transfer_queue.init(OmegaConf.create({"backend": {}}))
    transfer_queue.close()
    assert not ray.is_initialized()


def test_verls_replay_buffer_samples_from_the_table(table: Table) -> None:
    rolled_out(table, a=[7, 8, 9], b=[7])
    assert _count_tq_prompt_groups() == 2
    batch = sampled(2)
    assert batch.keys == ["a_0_0", "b_0_0"]
    assert [tag["response_len"] for tag in batch.tags] == [3, 1]
    assert _count_tq_prompt_groups() == 0  # verl has taken the prompts away, and not their rows
    rows = transfer_queue.kv_batch_get(keys=batch.keys, partition_id="train")
    assert unpadded(rows["rm_scores"]) == [[0, 0, 3], [1]]
    assert unpadded(rows["input_ids"]) == [[5, 6, 7, 8, 9], [5, 6, 7]]
    assert rows.pop("uid").tolist() == ["a", "b"]


def test_verls_padding_rows_are_rows_like_others(table: Table) -> None:
    rolled_out(table, a=[7, 8, 9], b=[7], c=[8, EOS])
    batch = upsample_batch_to_divisible_size(sampled(3), 4, EOS)
    assert [tag.get("is_padding", False) for tag in batch.tags] == [False, False, False, True]
    batch.reorder([3, 1, 0, 2])
    rows = transfer_queue.kv_batch_get(keys=batch.keys, partition_id="train")
    assert unpadded(rows["responses"]) == [[EOS], [7], [7, 8, 9], [8, EOS]]
    assert unpadded(rows["response_mask"])[0] == [0]
    assert len(rows["input_ids"].unbind(0)[0]) == batch.tags[0]["seq_len"]
    assert rows.pop("uid").tolist()[1:] == ["b", "a", "c"]
    assert rows.pop("num_turns").tolist() == [0, 2, 2, 2]
    for name, column in table.take(batch.keys, "train").items():
        assert column.is_nested and column.shape[0] == 4, name


class Group:
    """A worker group whose ranks answer with twice each token, and with metrics."""

    def __init__(self, later: bool = False, ranks: int = 2) -> None:
        self.later, self.world_size = later, ranks
        self.seen: list[TensorDict] = []

    def answer(self, batch: Rows) -> TensorDict | DataProtoFuture:
        chunks, _ = _split_args_kwargs_data_proto(self.world_size, batch)
        self.seen = [pickle.loads(pickle.dumps(chunk)) for chunk in chunks[0]]
        parts = [TensorDict({"log_probs": d["input_ids"] * 2.0}, len(d)) for d in self.seen]
        if self.later:
            return DataProtoFuture(collect_fn=None, futures=[ray.put(part) for part in parts])
        return tu.concat_tensordict(parts)

    compute_log_prob = compute_ref_log_prob = infer_batch = answer

    def update_actor(self, batch: Rows) -> TensorDict:
        self.answer(batch)
        return tu.get_tensordict({}, {"metrics": {"mfu": 0.5}})

    train_mini_batch = update_actor

    def save_checkpoint(self, path: str) -> str:
        return f"saved to {path}"


@pytest.mark.parametrize("name", queue.Handed.ROWS)
def test_workers_get_rows_with_the_call_and_their_answers_become_columns(
    table: Table, name: str
) -> None:
    rolled_out(table, a=[7, 8, 9], b=[7])
    batch = sampled(2)
    batch.extra_info.update(temperature=0.7, calculate_entropy=True)
    group = Group()
    meta = getattr(queue.Handed(group), name)(batch)
    assert [unpadded(seen["responses"]) for seen in group.seen] == [[[7, 8, 9]], [[7]]]
    for seen in group.seen:
        assert tu.get(seen, "temperature") == 0.7 and tu.get(seen, "calculate_entropy") is True
        assert "raw_prompt" not in seen and "uid" not in seen
    assert meta.keys == batch.keys and meta.futures == []
    found = transfer_queue.kv_batch_get(
        keys=batch.keys, partition_id="train", select_fields=["log_probs", "response_mask"]
    )
    of_responses = response_from_nested(found["log_probs"], found["response_mask"])
    # a log-probability stands one place before the token that it is of
    assert unpadded(of_responses) == [[12, 14, 16], [12]]


@pytest.mark.parametrize("name", queue.Handed.METRICS)
def test_an_update_answers_with_metrics_and_changes_no_row(table: Table, name: str) -> None:
    rolled_out(table, a=[7, 8, 9], b=[7])
    batch = sampled(2)
    before = set(table.get(batch.keys, "train").keys())
    answer = getattr(queue.Handed(Group()), name)(batch)
    assert tu.get(answer, "metrics") == {"mfu": 0.5}
    assert set(table.get(batch.keys, "train").keys()) == before


def test_answers_that_come_later_are_waited_for(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored: list[Any] = []

    def put(value: Any) -> int:
        stored.append(value)
        return len(stored) - 1

    monkeypatch.setattr(ray, "put", put)
    monkeypatch.setattr(ray, "get", lambda indices: [stored[i] for i in indices])
    rolled_out(table, a=[7, 8, 9], b=[7])
    batch = sampled(2)
    queue.Handed(Group(later=True)).infer_batch(batch)
    rows = table.get(batch.keys, "train", ["log_probs"])
    assert unpadded(rows["log_probs"]) == [[10, 12, 14, 16, 18], [10, 12, 14]]


def test_all_else_of_a_worker_group_is_its_own() -> None:
    group = SimpleNamespace(_dispatch_info={}, save_checkpoint=Group().save_checkpoint)
    handed = queue.Handed(group)
    assert handed.save_checkpoint("here") == "saved to here"
    assert handed._dispatch_info is group._dispatch_info


def test_an_answer_that_was_asked_for_ahead_is_the_one_that_counts_once(table: Table) -> None:
    rolled_out(table, a=[7, 8, 9], b=[7])
    batch, group = sampled(2), Group(ranks=1)
    handed = queue.Handed(group)
    handed.send("infer_batch", batch, {"compute_loss": False})
    assert [tu.get(share, "compute_loss") for share in group.seen] == [False]
    group.seen = []
    assert len(handed.infer_batch(batch)) == 2 and group.seen == []  # no second call
    rows = table.get(batch.keys, "train", ["log_probs"])
    assert unpadded(rows["log_probs"])[1] == [10, 12, 14]
    assert len(handed.infer_batch(batch)) == 2 and len(group.seen) == 1


def test_several_ranks_are_asked_one_thing_at_a_time(table: Table) -> None:
    """Ray lets a worker's calls overtake each other; ranks in different calls break collectives."""
    rolled_out(table, a=[7, 8, 9], b=[7])
    batch, group = sampled(2), Group()
    handed = queue.Handed(group)
    handed.send("infer_batch", batch, {"compute_loss": False})
    assert group.seen == []
    assert len(handed.infer_batch(batch)) == 2 and len(group.seen) == 2
