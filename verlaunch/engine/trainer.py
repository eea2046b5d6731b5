"""verl's synchronous PPO trainer with what a launcher needs around it.

- the replay buffer polls every 0.05 s (verl: 2.0 s, trainer/ppo/v1/replay_buffer.py:144, no key);
- training workers that run on every device (see workers.py);
- what recipes name and verl has no key for (algorithm.py), and checkpoints (saving.py);
- what the reward says of itself (curves, a reason to stop, constants) is read after every rollout:
  nothing is learnt from a batch that could not be scored;
- phases, metrics and a request to stop go through files (see record.Channel), so that the screen
  needs no connection to Ray; a run always ends with a checkpoint of its last step.
"""

from typing import Any

import ray
import transfer_queue as tq
from omegaconf import DictConfig
from ray.exceptions import RayActorError
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.utils import Role
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer
from verl.trainer.ppo.v1.trainer_base import register_trainer

from rewards.curves import means
from verlaunch.engine import memory, reward_actor, samples, shell
from verlaunch.engine.algorithm import Algorithm
from verlaunch.engine.rollout import DirectClient
from verlaunch.engine.saving import Saving
from verlaunch.engine.workers import ActorRolloutRef, Training
from verlaunch.record import Channel
from verlaunch.training import TrainerSettings

POLL_INTERVAL_S = 0.05


class _StopTraining(Exception):
    """Out of verl's loop, between a rollout and its update."""


@register_trainer("verlaunch")
class Trainer(Algorithm, Saving):
    channel: Channel  # these two are set by the runner before init()
    training: TrainerSettings

    def __init__(self, config: DictConfig) -> None:
        # Any other name than "sync" is taken for an asynchronous mode (trainer_base.py:153).
        config.trainer.v1.trainer_mode = "sync"
        super().__init__(config)
        self.failure = ""  # why the run was stopped early, for the user
        self.curves: dict[str, float] = {}  # the reward's own
        self.reward_state: dict[str, Any] = {}  # its constants and means
        self.updated_step = 0  # what the weights are of
        self.before: tuple[Any, Any] = ({}, {})  # dataloader and reward, before this step

    def _build_replay_buffer(self) -> ReplayBuffer:
        buffer = super()._build_replay_buffer()
        buffer.poll_interval = POLL_INTERVAL_S
        return buffer

    def _init_resource_pool_mgr(self) -> None:
        super()._init_resource_pool_mgr()
        for role in self.role_worker_mapping:
            worker = Training if role == Role.Critic else ActorRolloutRef
            self.role_worker_mapping[role] = ray.remote(worker)

    def get_llm_client(self) -> DirectClient:
        manager = self.llm_server_manager
        servers = dict(zip(manager.server_addresses, manager.server_handles, strict=True))
        return manager.get_client(client_cls=DirectClient, servers=servers)

    def on_init_end(self) -> None:
        super().on_init_end()
        self.updated_step = self.global_steps
        memory.freeze()
        self.channel.phase("ready", total_steps=self.total_training_steps, step=self.global_steps)

    def on_validate_begin(self) -> None:
        self._attach_metrics()
        self.channel.phase("validation", step=self.global_steps)

    def on_train_begin(self) -> None:
        self._attach_metrics()

    def on_validate_end(self) -> None:
        super().on_validate_end()
        self._ask_reward()

    def on_step_begin(self) -> None:
        self.before = (self.train_dataloader.state_dict(), self.reward_state)
        if self.failure:  # seen in a validation
            raise _StopTraining
        self.channel.phase("rollout", step=self.global_steps)

    def on_sample_end(self) -> None:
        super().on_sample_end()
        self._ask_reward()
        if self.failure:
            raise _StopTraining
        self.channel.phase("update", step=self.global_steps)

    def fit(self, agent_loop_manager: Any) -> None:
        try:
            super().fit(agent_loop_manager)
        except _StopTraining:
            # The checkpoint is one of the last step that was trained: its batch comes again.
            self.global_steps = self.updated_step
            dataloader, self.reward_state = self.before
            self.train_dataloader.state_dict = lambda: dataloader
            self._save_last()

    def on_step_end(self) -> None:
        self.updated_step = self.global_steps
        if self.failure or self.channel.stop_requested():
            self.total_training_steps = self.global_steps  # the loop ends after this step
            self._save_last()
        super().on_step_end()

    def on_train_end(self) -> None:
        self._save_last()

    def _compute_metrics(
        self, batch: KVBatchMeta, metrics: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        """verl drops what a reward returns beside its score; here each part becomes a curve."""
        result = super()._compute_metrics(batch, metrics, *args, **kwargs)
        metrics.update(self._reward_parts(batch) | self.curves)
        samples.write(self.channel.folder, self.global_steps, batch, self.tokenizer)
        metrics["response/truncated"] = self._truncated(batch)
        return result

    def _truncated(self, batch: KVBatchMeta) -> float:
        """Share of responses as long as allowed; verl's clip_ratio compares with the longest."""
        limit = self.config.data.max_response_length
        lengths = [tag["response_len"] for tag in batch.tags if not tag.get("is_padding", False)]
        return sum(length >= limit for length in lengths) / max(1, len(lengths))

    def _reward_parts(self, batch: KVBatchMeta) -> dict[str, float]:
        rows = tq.kv_batch_get(
            keys=samples.real_keys(batch),
            partition_id=batch.partition_id,
            select_fields=["extra_fields"],
        )
        told = [getattr(row, "data", row) for row in rows["extra_fields"]]
        parts = means(row.get("reward_extra_info", {}) for row in told)
        return {f"reward/{name}/mean": value for name, value in parts.items()}

    def _reports(self) -> list[dict[str, Any]]:
        """Of the reward actor, or of the rewards that live in the rollout workers."""
        count = self.config.actor_rollout_ref.rollout.agent.num_workers
        shells = [ray.get_actor(shell.name_of(index)) for index in range(count)]
        local = [report for report in ray.get([s.report.remote() for s in shells]) if report]
        return local or [ray.get(ray.get_actor(reward_actor.NAME).report.remote())]

    def _ask_reward(self) -> None:
        try:
            reports = self._reports()
        except (RayActorError, ValueError):  # it is gone, by its name too
            self.failure = (
                "the process of the reward model or judge died, of too little memory perhaps; the "
                "log has its last words. The same command continues."
            )
            return
        self.curves, self.reward_state = reports[0]["curves"], reports[0]["state"]
        why = next((report["stop"] for report in reports if report["stop"]), None)
        if why and not self.failure:
            again = "" if "same command" in why else " Mend it, then the same command continues."
            self.failure = f"{why}.{again}"

    def _attach_metrics(self) -> None:
        """verl's tracking takes any object with `log(data, step)`; its own file is truncated."""
        self.logger.logger["verlaunch"] = self.channel
