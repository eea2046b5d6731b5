"""The parts of PPO that a recipe may name and verl has no key for.

Left out on purpose: everything that is verl's own and only configured (GAE, clipping, KL, entropy).
"""

from typing import Any

from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

from verlaunch.training import TrainerSettings


class Algorithm(PPOTrainerSync):
    training: TrainerSettings

    def algorithm_state(self) -> dict[str, Any]:
        """What a checkpoint keeps of the algorithm, as JSON."""
        return {}

    def restore_algorithm(self, state: dict[str, Any]) -> None:
        pass

    def _compute_ref_log_prob(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        batch = super()._compute_ref_log_prob(batch, metrics)
        batch.extra_info.pop("no_lora_adapter", None)
        return batch
