"""verl's synchronous PPO trainer with what a launcher needs around it.

- the replay buffer awaits rows, can be stopped, and hands out whole batches only (sampling.py);
- training workers that run on every device (see workers.py);
- what recipes name and verl has no key for (algorithm.py), checkpoints (saving.py), and policy and
  critic of each epoch (epochs.py);
- what the reward says of itself (curves, a reason to stop, constants) is read after every rollout:
  nothing is learnt from a batch that could not be scored;
- phases, metrics and a request to stop go through files (see record.Channel), so that the screen
  needs no connection to Ray; a run always ends with a checkpoint of its last step;
- verl logs a step after its checkpoint and its validation (trainer_base.py:477-511): what a killed
  run could not log any more is in the checkpoint, and goes to the record on resume.
"""

import time
from typing import Any, NoReturn

import ray
import transfer_queue as tq
from omegaconf import DictConfig
from ray.exceptions import RayActorError
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.utils import Role
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer
from verl.trainer.ppo.v1.trainer_base import register_trainer

from rewards.column_means import means
from verlaunch.engine.actors import NAME, name_of
from verlaunch.engine.rollout import queue
from verlaunch.engine.rollout.batched_client import DirectClient
from verlaunch.engine.training import samples, sampling, tracking
from verlaunch.engine.training.epochs import Epochs
from verlaunch.engine.training.workers import ActorRolloutRef, Training
from verlaunch.machine import garbage
from verlaunch.record.alerts.watch import Alerts
from verlaunch.record.channel import STOP_SOON, Tail, has_step, numbers

UNLOGGED = "metrics"  # in a checkpoint's state
POLL_INTERVAL_S = 0.2  # between two looks for a request to stop


class _StopTraining(Exception):
    """Out of verl's loop, anywhere but within an update."""


@register_trainer("verlaunch")
class Trainer(Epochs):
    # `channel` and `training` are set by the runner before init().

    def __init__(self, config: DictConfig) -> None:
        # Any other name than "sync" is taken for an asynchronous mode (trainer_base.py:153).
        config.trainer.v1.trainer_mode = "sync"
        super().__init__(config)
        self.failure = ""  # why the run was stopped early, for the user
        self.curves: dict[str, float] = {}  # the reward's own
        self.reward_state: dict[str, Any] = {}  # its constants and means
        self.updated_step = 0  # what the weights are of
        self.whole: tuple[Any, Any] = ({}, {})  # dataloader and reward, of that step
        self.alerts = Alerts()
        self.trained: tuple[Any, ...] = ()  # batch, metrics, timing and start of the step
        self.logged = -1  # the newest step in the record
        self.unlogged: dict[int, dict[str, Any]] = {}  # metrics by step, from the checkpoint

    def _build_replay_buffer(self) -> ReplayBuffer:
        buffer = super()._build_replay_buffer()
        return sampling.watched(buffer, self._wait_for_rows, self._stop_when_unscored)

    def _wait_for_rows(self) -> None:
        """A rollout is given up when there is little time: its batch comes again."""
        if self.channel.stop_requested() == STOP_SOON:
            self._leave_rollout()
        self.agent_loop_manager.receive(POLL_INTERVAL_S)

    def _stop_when_unscored(self) -> None:
        self._ask_reward()
        if self.failure:
            self._leave_rollout()

    def _leave_rollout(self) -> NoReturn:
        if self.saved_step < self.updated_step:  # a checkpoint wants the memory that vLLM has
            self.checkpoint_manager.abort_replicas()
            self.checkpoint_manager.sleep_replicas()
        raise _StopTraining

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
        for group in ("actor_rollout_wg", "critic_wg", "ref_policy_wg"):
            if hasattr(self, group):
                setattr(self, group, queue.Handed(getattr(self, group)))
        super().on_init_end()
        self.updated_step = self.global_steps
        garbage.freeze()
        history = Tail(self.channel.metrics).new()  # of the steps before a resume
        self.alerts = Alerts(history, self.config.algorithm.kl_ctrl.target_kl)
        self.channel.phase("ready", total_steps=self.total_training_steps, step=self.global_steps)

    def on_validate_begin(self) -> None:
        self._attach_metrics()
        self.channel.phase("validation", step=self.global_steps)

    def on_train_begin(self) -> None:
        self._attach_metrics()
        self.whole = (self.train_dataloader.state_dict(), self.reward_state)
        for step in list(self.unlogged):
            self.log({}, step)

    def on_validate_end(self) -> None:
        super().on_validate_end()
        self._ask_reward()

    def on_step_begin(self) -> None:
        super().on_step_begin()
        if self.failure:  # seen in a validation, or in the numbers of the step before
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
            tracking.join(self.config, self.channel.folder)
            super().fit(agent_loop_manager)
        except _StopTraining:
            # The checkpoint is one of the last step that was trained: its batch comes again.
            self.global_steps = self.updated_step
            dataloader, self.reward_state = self.whole
            self.train_dataloader.state_dict = lambda: dataloader
            self._save_last()
        finally:
            tracking.close(self)

    def step(self, metrics: dict[str, Any], timing_raw: dict[str, float]) -> KVBatchMeta:
        began = time.monotonic()
        batch = super().step(metrics, timing_raw)
        self.trained = (batch, metrics, timing_raw, began)
        # Before a checkpoint of this step can be complete.
        samples.write(self.channel, self.global_steps, batch, self.tokenizer)
        samples.write_rows(self.channel, self.global_steps, batch)
        return batch

    def on_step_end(self) -> None:
        self.updated_step = self.global_steps
        self.whole = (self.train_dataloader.state_dict(), self.reward_state)
        if self.failure or self.channel.stop_requested():
            self.total_training_steps = self.global_steps  # the loop ends after this step
            self._save_last()
        super().on_step_end()

    def on_train_end(self) -> None:
        self.global_steps = self.updated_step  # verl has counted on
        self._save_last()

    def _compute_old_log_prob(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        """Policy, reference and critic read the same rows, one after the other in the same
        processes: where there is one rank, all are asked at once, and none waits for what the
        trainer makes of another's answer. What they are told is what verl tells them
        (trainer_base.py:1650,1695,1724)."""
        info = {
            "calculate_entropy": False,
            "compute_loss": False,
            "temperature": self.config.actor_rollout_ref.rollout.temperature,
        }
        if not self.config.algorithm.rollout_correction.bypass_mode:
            self.actor_rollout_wg.send(
                "compute_log_prob", batch, info | {"calculate_entropy": True}
            )
        if self.use_reference_policy and not self.ref_in_actor:
            self.ref_policy_wg.send("compute_ref_log_prob", batch, info)
        if self.use_critic:
            self.critic_wg.send("infer_batch", batch, info)
        return super()._compute_old_log_prob(batch, metrics)

    def _compute_metrics(
        self, batch: KVBatchMeta, metrics: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        self._measure(batch, metrics, *args, **kwargs)
        self._watch(metrics)

    def _watch(self, metrics: dict[str, Any]) -> None:
        """Alerts go to the record; one of --stop_on ends the run, unless it is at its end."""
        for alert in self.alerts.look(self.global_steps, metrics):
            self.channel.alert(alert)
        found = [alert for alert in self.alerts.now if alert.name in self.training.stop_on]
        if found and not self.failure and self.global_steps < self.total_training_steps:
            name, seen = found[0].name, found[0].sentence
            self.failure = (
                f"--stop_on {name}: {seen} Step {self.global_steps} is saved; the same command "
                f"without {name} in --stop_on continues from there."
            )

    def _measure(
        self, batch: KVBatchMeta, metrics: dict[str, Any], *args: Any, **kwargs: Any
    ) -> None:
        """verl drops what a reward returns beside its score; here each part becomes a curve."""
        super()._compute_metrics(batch, metrics, *args, **kwargs)
        metrics.update(self._reward_parts(batch) | self.curves)
        metrics["response/truncated"] = self._truncated(batch)

    def algorithm_state(self) -> dict[str, Any]:
        return {**super().algorithm_state(), UNLOGGED: self._metrics_so_far()}

    def _metrics_so_far(self) -> dict[str, Any]:
        """Of the step that is being saved, all but its validation; nothing once they are logged."""
        if self.logged >= self.global_steps:
            return {}
        batch, metrics, timing, began = self.trained
        metrics, timing = dict(metrics), {**timing, "step": time.monotonic() - began}
        epoch = (self.global_steps - 1) // self.steps_per_epoch
        self._measure(batch, metrics, timing, global_steps=self.global_steps, epoch=epoch)
        return numbers(metrics)

    def restore_algorithm(self, state: dict[str, Any]) -> None:
        super().restore_algorithm(state)
        lost = state.get(UNLOGGED) and not has_step(self.channel.folder, self.global_steps)
        self.unlogged = {self.global_steps: state[UNLOGGED]} if lost else {}

    def log(self, data: dict[str, Any], step: int) -> None:
        """verl's tracking interface."""
        self.logged = step
        self.channel.log({**self.unlogged.pop(step, {}), **data}, step)

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

    def _local_reports(self) -> list[dict[str, Any]]:
        """Of the rewards that live in the rollout workers, if they live there."""
        count = self.config.actor_rollout_ref.rollout.agent.num_workers
        shells = [ray.get_actor(name_of(index)) for index in range(count)]
        return [report for report in ray.get([s.report.remote() for s in shells]) if report]

    def _ask_reward(self) -> None:
        reports = self._local_reports()
        try:
            reports = reports or [ray.get(ray.get_actor(NAME).report.remote())]
        except (RayActorError, ValueError):  # it is gone, by its name too
            self.failure = (
                "the process of the reward model or judge died, of too little memory perhaps; the "
                "log has its last words. The same command continues."
            )
            return
        self.curves, self.reward_state = reports[0]["curves"], reports[0]["state"]
        why = next((report["stop"] for report in reports if report["stop"]), None)
        if why and not self.failure:
            again = "" if "same command" in why else " Fix it, then the same command continues."
            self.failure = f"{why}.{again}"

    def _attach_metrics(self) -> None:
        """verl's tracking takes any object with `log(data, step)`; its own file is truncated."""
        self.logger.logger["verlaunch"] = self
