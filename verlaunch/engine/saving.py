"""Checkpoints of the trainer: when they are made, what makes one complete, which are kept.

verl writes actor, critic, dataloader and a tracker file (trainer_base.py:948); here the reward's
constants, the algorithm's state and a manifest come after them, the manifest last.
"""

import json
import sys
from pathlib import Path
from typing import Any

from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

from verlaunch.checkpoints import prune, write_manifest
from verlaunch.engine import reward_settings
from verlaunch.record import Channel

STATE = "trainer.json"  # in a checkpoint: what the algorithm goes on with, see algorithm.py


class Saving(PPOTrainerSync):
    channel: Channel
    reward_state: dict[str, Any]
    saved_step = 0
    last_checkpoint = ""

    def algorithm_state(self) -> dict[str, Any]:
        raise NotImplementedError

    def restore_algorithm(self, state: dict[str, Any]) -> None:
        raise NotImplementedError

    def _load_checkpoint(self) -> None:
        super()._load_checkpoint()
        self.saved_step = self.global_steps
        file = Path(self.config.trainer.resume_from_path or "", STATE)
        if self.global_steps and file.is_file():
            self.restore_algorithm(json.loads(file.read_text()))

    def _save_checkpoint(self) -> None:
        self.channel.phase("checkpoint", step=self.global_steps)
        super()._save_checkpoint()
        self.saved_step = self.global_steps
        everything = Path(self.config.trainer.default_local_dir)
        folder = everything / f"global_step_{self.global_steps}"
        (folder / reward_settings.STATE).write_text(json.dumps(self.reward_state))
        (folder / STATE).write_text(json.dumps(self.algorithm_state()))
        ranks = self.config.trainer.nnodes * self.config.trainer.n_gpus_per_node
        write_manifest(folder, self.global_steps, ranks)
        prune(everything, self.config.trainer.max_actor_ckpt_to_keep or sys.maxsize)
        self.last_checkpoint = str(folder)
        self.channel.event("saved", step=self.global_steps, path=str(folder))

    def _save_last(self) -> None:
        if self.saved_step < min(self.global_steps, self.total_training_steps):
            self._save_checkpoint()
