"""verl's own sampling loop, watched: rows are never lost silently, and a wait can be left."""

from types import SimpleNamespace
from typing import Any

import pytest
from omegaconf import OmegaConf
from verl.trainer.ppo.v1 import replay_buffer
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

from verlaunch.engine.training.sampling import RowsLost, watched


class Left(Exception):
    pass


def leave() -> None:
    raise Left


def nothing() -> None:
    pass


def queue(**status: str) -> SimpleNamespace:
    """Prompts by uid; the finished ones have a response."""
    items: dict[str, dict[str, Any]] = {}
    for uid, value in status.items():
        items[uid] = {"is_prompt": True, "status": value, "global_steps": 1}
        if value == "finished":
            items[f"{uid}_0_0"] = {"status": "success"}
    return SimpleNamespace(kv_list=lambda: {"train": items}, kv_clear=lambda **_: None)


@pytest.fixture
def buffer() -> ReplayBuffer:
    config = OmegaConf.create({})
    return ReplayBuffer("sync", config, None, "drop", config)


def sample(buffer: ReplayBuffer) -> list[str]:
    batch, _ = buffer.sample(global_steps=1, partition_id="train", batch_size=2)
    return batch.keys


def test_a_whole_batch_is_handed_out(buffer: ReplayBuffer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_buffer, "tq", queue(a="finished", b="finished"))
    assert sample(watched(buffer, leave, leave)) == ["a_0_0", "b_0_0"]


def test_rows_come_in_the_order_of_their_prompts_not_of_their_arrival(
    buffer: ReplayBuffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = {"is_prompt": True, "status": "finished", "global_steps": 1}
    arrived = ["b_1_0", "a_10_0", "b_0_0", "a_2_0"]
    items = {"b": done, "a": done, **{key: {"status": "success"} for key in arrived}}
    late = SimpleNamespace(kv_list=lambda: {"train": items}, kv_clear=lambda **_: None)
    monkeypatch.setattr(replay_buffer, "tq", late)
    assert sample(buffer) == arrived  # what verl does
    assert sample(watched(buffer, leave, leave)) == ["b_0_0", "b_1_0", "a_2_0", "a_10_0"]


def test_a_batch_with_missing_rows_is_not(
    buffer: ReplayBuffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_buffer, "tq", queue(a="finished", b="failure"))
    assert sample(buffer) == ["a_0_0"]  # what verl does
    with pytest.raises(RowsLost, match="failed for 1 of 2 prompts"):
        sample(watched(buffer, nothing, nothing))


@pytest.mark.parametrize("first", ["finished", "failure"])
def test_a_reward_that_died_is_told_instead(
    buffer: ReplayBuffer, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    monkeypatch.setattr(replay_buffer, "tq", queue(a=first, b="failure"))
    with pytest.raises(Left):
        sample(watched(buffer, nothing, leave))


def test_what_comes_during_a_wait_is_handed_out(
    buffer: ReplayBuffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_buffer, "tq", queue(a="finished", b="running"))

    def receive() -> None:
        monkeypatch.setattr(replay_buffer, "tq", queue(a="finished", b="finished"))

    assert sample(watched(buffer, receive, leave)) == ["a_0_0", "b_0_0"]


def test_a_wait_can_be_left(buffer: ReplayBuffer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_buffer, "tq", queue(a="finished", b="running"))
    with pytest.raises(Left):
        sample(watched(buffer, leave, nothing))
