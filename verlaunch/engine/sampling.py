"""verl's replay buffer, which polls for a step's responses, made to poll often and to be stopped.

    buffer = watched(super()._build_replay_buffer(), at_poll=..., at_failure=...)

verl sleeps 2.0 s between two polls, without a key (trainer/ppo/v1/replay_buffer.py:144), has no
way out of the loop (:409), and takes a prompt whose responses failed for a finished one, so that a
batch silently lacks its rows (:346).
"""

from collections.abc import Callable
from typing import Any

from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

POLL_INTERVAL_S = 0.05


class RowsLost(Exception):
    """The rollout failed for some prompts; the log says above how."""


def watched(
    buffer: ReplayBuffer, at_poll: Callable[[], None], at_failure: Callable[[], None]
) -> ReplayBuffer:
    """Both may raise. at_poll: before each wait; at_failure: before RowsLost is raised."""
    buffer.poll_interval = POLL_INTERVAL_S
    wait, sample = buffer._wait_for_next_poll, buffer.sample

    def wait_or_stop(*arguments: Any) -> float:
        at_poll()
        return wait(*arguments)

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

    buffer._wait_for_next_poll = wait_or_stop  # type: ignore[method-assign]
    buffer.sample = whole_sample  # type: ignore[method-assign]
    return buffer
