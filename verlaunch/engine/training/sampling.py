"""verl's replay buffer, which polls for a step's responses, made to await them and to be stopped.

    buffer = watched(super()._build_replay_buffer(), wait=..., at_failure=...)

verl sleeps 2.0 s between two polls, without a key (trainer/ppo/v1/replay_buffer.py:144), has no
way out of the loop (:409), takes a prompt whose responses failed for a finished one, so that a
batch silently lacks its rows (:346), and hands rows out as they arrived, which differs from run to
run; here they come in the order of their prompts and samples.
"""

from collections.abc import Callable, Mapping
from typing import Any

from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer


class RowsLost(Exception):
    """The rollout failed for some prompts; the log says above how."""


def watched(
    buffer: ReplayBuffer, wait: Callable[[], None], at_failure: Callable[[], None]
) -> ReplayBuffer:
    """Both may raise. wait: between two polls; at_failure: before RowsLost is raised."""
    sample, materialize = buffer.sample, buffer._materialize_batch

    def wait_or_stop(partition_id: str, last_debug_time: float) -> float:
        wait()
        return last_debug_time

    def whole_sample(global_steps: int, partition_id: str, batch_size: int) -> Any:
        try:
            result = sample(
                global_steps=global_steps, partition_id=partition_id, batch_size=batch_size
            )
        except RuntimeError:  # all of them failed (replay_buffer.py:507)
            at_failure()
            raise
        if lost := len(buffer.failure_keys[partition_id]):
            at_failure()
            raise RowsLost(
                f"the rollout failed for {lost} of {batch_size} prompts, and a batch with missing "
                "rows teaches nothing; the first error in the log says why"
            )
        return result

    def in_order(partition_id: str, uids: list[str], rows: dict[str, Any]) -> KVBatchMeta:
        asked = {uid: at for at, uid in enumerate(buffer.prompt_global_steps[partition_id])}
        ordered = sorted(rows.items(), key=lambda row: _place(row[0], asked))
        return materialize(partition_id, uids, dict(ordered))

    buffer._materialize_batch = in_order  # type: ignore[method-assign]
    buffer._wait_for_next_poll = wait_or_stop  # type: ignore[method-assign]
    buffer.sample = whole_sample  # type: ignore[method-assign]
    return buffer


def _place(key: str, asked: Mapping[str, int]) -> tuple[int, ...]:
    """Of a row: its prompt among those that were asked, its sample, its turn. key: verl's
    uid_sample_turn."""
    uid, *numbers = key.split("_")
    return (asked.get(uid, len(asked)), *map(int, numbers))
