"""Checkpoints of the trainer: when they are made, what makes one complete, which are kept.

verl writes actor, critic, dataloader and a tracker file (trainer_base.py:948); here the reward's
constants, the algorithm's state and a manifest come after them, the manifest last. A full disk is
waited for: weights and optimizer are in memory, and training goes on from where it stood. Where a
person ends such a wait, the run ends without this checkpoint, with the last one as it was.
"""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub import try_to_load_from_cache
from omegaconf import DictConfig

from verlaunch.engine.heartbeat import beat
from verlaunch.engine.reward import settings as reward_settings
from verlaunch.engine.training.algorithm import Algorithm
from verlaunch.engine.training.patience import PatientChannel
from verlaunch.inputs.tokenizer import published
from verlaunch.machine import disk
from verlaunch.record.checkpoints.complete import wait_for_all
from verlaunch.record.checkpoints.manifest import begin, write_manifest
from verlaunch.record.checkpoints.retention import prune
from verlaunch.record.checkpoints.search import latest, note_score
from verlaunch.record.report.names import validation_score
from verlaunch.weights.lora import OWN
from verlaunch.weights.small_files import as_published

STATE = "trainer.json"  # in a checkpoint: what the algorithm goes on with, see algorithm.py
BYTES_WEIGHTS, BYTES_OPTIMIZER = 4, 8  # per parameter: fp32, and Adam's two moments of it


def first_size(config: DictConfig, with_critic: bool) -> int:
    """Bytes of a checkpoint, from the models' files; 0 where they do not tell.

    An adapter's own weights and moments are small beside the frozen ones that are saved with it.
    """
    models = [config.actor_rollout_ref.model, *([config.critic.model] if with_critic else [])]
    total = 0
    for model in models:
        each = BYTES_WEIGHTS + (0 if model.get("lora_rank") else BYTES_OPTIMIZER)
        total += disk.parameters(Path(model.path)) * each
    return total


def _adapter_config(name: str | None) -> Path | None:
    """Of the adapter that training went on with: verl keeps its rank and a whole alpha, no more."""
    if not name:
        return None
    file = Path(name).expanduser() / OWN
    if not file.is_file() and name.count("/") == 1:
        file = Path(str(try_to_load_from_cache(name, OWN)))  # peft has downloaded it
    return file if file.is_file() else None


class Saving(Algorithm):
    channel: PatientChannel
    reward_state: dict[str, Any]
    saved_step = 0
    last_checkpoint = ""

    def __init__(self, config: DictConfig) -> None:
        # verl's own pruning deletes the old actor before the new critic is written.
        trainer = config.trainer
        kept = (trainer.max_actor_ckpt_to_keep, trainer.max_critic_ckpt_to_keep)
        self.keep = sys.maxsize if None in kept else max(kept)
        trainer.max_actor_ckpt_to_keep = trainer.max_critic_ckpt_to_keep = None
        super().__init__(config)

    @property
    def checkpoints(self) -> Path:
        return Path(self.config.trainer.default_local_dir)

    def _load_checkpoint(self) -> None:
        super()._load_checkpoint()
        self.saved_step = self.global_steps
        if not self.global_steps:
            return
        self.last_checkpoint = self.config.trainer.resume_from_path
        file = Path(self.last_checkpoint, STATE)
        if file.is_file():
            self.restore_algorithm(json.loads(file.read_text()))

    def _save_checkpoint(self) -> None:
        """Returns without one only when asked to stop while the disk is full."""
        step, folder = self.global_steps, self.checkpoints / f"global_step_{self.global_steps}"
        last = latest(self.checkpoints)
        size = last.size if last else first_size(self.config, self.use_critic)
        room = (self.checkpoints, int(size * disk.MARGIN))
        if self._has_written("checkpoint", step, room, lambda: self._write(folder)):
            self._declare_saved(folder)

    def _has_written(
        self, phase: str, step: int, room: tuple[Path, int], write: Callable[[], object]
    ) -> bool:
        """room: where how many bytes are needed. Waits for them until somebody stops the run."""
        failed = False
        while disk.wait_for_room(*room, self._tell, self._is_asked_to_stop, failed):
            self.channel.phase(phase, step=step)
            try:
                write()
            except Exception as error:  # torch, Ray and safetensors each have classes for it
                if not disk.is_full(error):
                    raise
                failed = True
            else:
                return True
        return False

    def _write(self, folder: Path) -> None:
        try:
            self._write_all(folder)
        except Exception as error:
            if disk.is_full(error):  # the next try wants the room
                shutil.rmtree(folder, ignore_errors=True)
            raise

    def _write_all(self, folder: Path) -> None:
        begin(folder)
        super()._save_checkpoint()
        wait_for_all(folder)
        self._publish(folder)
        (folder / reward_settings.STATE).write_text(json.dumps(self.reward_state))
        (folder / STATE).write_text(json.dumps(self.algorithm_state()))
        ranks = self.config.trainer.nnodes * self.config.trainer.n_gpus_per_node
        write_manifest(folder, self.global_steps, ranks)

    def _publish(self, folder: Path) -> None:
        """Critic and policy read the same tokenizer's ids."""
        model, rollout = (self.config.actor_rollout_ref[name] for name in ("model", "rollout"))
        stops = (rollout.get("custom") or {}).get("stop_token_ids") or ()
        base = published(Path(model.path))
        for role in ("actor", "critic"):
            if (small_files := folder / role / "huggingface").is_dir():
                as_published(small_files, base, stops if role == "actor" else ())
        if adapter := _adapter_config(model.get("lora_adapter_path")):
            shutil.copyfile(adapter, folder / "actor" / OWN)

    def _declare_saved(self, folder: Path) -> None:
        self.saved_step, self.last_checkpoint = self.global_steps, str(folder)
        self.channel.event("saved", step=self.global_steps, path=str(folder))
        prune(self.checkpoints, self.keep)

    def _tell(self, text: str) -> None:
        self.channel.event("disk", text=text)

    def _is_asked_to_stop(self) -> bool:
        beat()  # waiting is no hang
        return bool(self.channel.stop_requested())

    def _validate(self) -> dict[str, float]:
        metrics = super()._validate()
        score = validation_score(metrics)
        if score is not None and self.saved_step == self.global_steps:
            folder, step = self.checkpoints, self.global_steps
            self.channel.patiently(lambda: note_score(folder, step, score))
        return metrics

    def _save_last(self) -> None:
        if self.saved_step < min(self.global_steps, self.total_training_steps):
            self._save_checkpoint()
