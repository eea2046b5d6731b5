"""The parts of PPO that a recipe may name and verl has no key for.

- no more updates on a batch that the policy has left too far (--stop_kl, see updates.py);
- the adaptive KL coefficient (--target_kl) follows the KL of a whole response, as in arXiv
  1909.08593; verl feeds its controller a mean per token (ray_trainer.py:108-112), of padding rows
  too;
- advantages as they are (--whiten_advantages off): verl's GAE always whitens them
  (core_algos.py:262); with gamma 1 and lambda 1 they are then A = R - V;
- the weight of the value loss (--value_coef).

Left out on purpose: everything that is verl's own and only configured (GAE, clipping, KL, entropy).
"""

import math
from functools import partial
from typing import Any

import torch
import transfer_queue as tq
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.core_algos import AdaptiveKLController, FixedKLController
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils.config import omega_conf_to_dataclass
from verl.workers.config import CriticConfig
from verl.workers.utils.losses import value_loss

from verlaunch.config.trainer_extras import TrainerSettings
from verlaunch.engine.training.samples import real_keys

VERLS_COEF = 0.5  # of the value loss


def kl_per_response(rows: TensorDict) -> float:
    """Nats: the sum over a response's tokens of log pi - log pi_ref, its mean over responses."""
    padded = rows.to_padded_tensor()
    log_ratio = padded["old_log_probs"] - padded["ref_log_prob"]
    return (log_ratio * padded["response_mask"]).double().sum(-1).mean().item()


def unwhitened(rows: TensorDict) -> torch.Tensor:
    """GAE's advantages: returns - values, since verl's returns are advantages + values before it
    whitens them (core_algos.py:261). Nested as the rows are; zero outside response_mask."""
    columns = (rows[name].unbind() for name in ("returns", "values", "response_mask"))
    parts = [(target - value) * mask for target, value, mask in zip(*columns, strict=True)]
    return torch.nested.as_nested_tensor(parts, layout=torch.jagged)


def weighted_value_loss(
    value_coef: float,
    config: CriticConfig,
    model_output: dict[str, torch.Tensor],
    data: TensorDict,
    dp_group: Any = None,
) -> tuple[torch.Tensor, dict[str, Any]]:
    """PPO adds c1 (V - R)^2 to its loss (arXiv 1707.06347, eq. 9); verl's value loss is that with
    c1 = 0.5 (core_algos.py:2175). The critic is a network of its own: the weight scales its whole
    gradient, of which Adam takes the scale out again, so it matters through gradient clipping.

    critic/vf_loss stays half the mean squared error; critic/loss is what was minimised.
    """
    loss, metrics = value_loss(config, model_output, data, dp_group)
    return loss * (value_coef / VERLS_COEF), metrics


class Algorithm(PPOTrainerSync):
    training: TrainerSettings
    kl_ctrl_in_reward: AdaptiveKLController | FixedKLController  # with KL in the reward only

    def algorithm_state(self) -> dict[str, Any]:
        """What a checkpoint keeps of the algorithm, as JSON."""
        if not self.config.algorithm.use_kl_in_reward:
            return {}
        return {"kl_coef": float(self.kl_ctrl_in_reward.value)}

    def restore_algorithm(self, state: dict[str, Any]) -> None:
        """A fixed coefficient is the configuration's, also when that has changed."""
        controller = getattr(self, "kl_ctrl_in_reward", None)
        if isinstance(controller, AdaptiveKLController) and "kl_coef" in state:
            controller.value = state["kl_coef"]

    def on_init_end(self) -> None:
        super().on_init_end()
        if self.use_critic and self.training.value_coef != VERLS_COEF:
            config = omega_conf_to_dataclass(self.config.critic)
            loss = partial(weighted_value_loss, self.training.value_coef, config)
            self.critic_wg.set_loss_fn(loss)

    def _compute_ref_log_prob(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        batch = super()._compute_ref_log_prob(batch, metrics)
        batch.extra_info.pop("no_lora_adapter", None)
        fields = ["old_log_probs", "ref_log_prob", "response_mask"]
        metrics["actor/kl_per_response"] = kl_per_response(_rows(batch, real_keys(batch), fields))
        return batch

    def _compute_advantage(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        if self.config.algorithm.use_kl_in_reward:
            batch = self._with_kl_in_reward(batch, metrics)
        else:
            batch = super()._compute_advantage(batch, metrics)
        return batch if self.training.whiten_advantages else self._unwhiten(batch)

    def _with_kl_in_reward(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        controller = self.kl_ctrl_in_reward
        self.kl_ctrl_in_reward = FixedKLController(controller.value)  # for verl to feed in vain
        batch = super()._compute_advantage(batch, metrics)
        self.kl_ctrl_in_reward = controller
        kl = metrics["actor/kl_per_response"]
        if math.isfinite(kl):  # else the coefficient would never be a number again
            controller.update(kl, n_steps=len(real_keys(batch)))
        return batch

    def _unwhiten(self, batch: KVBatchMeta) -> KVBatchMeta:
        rows = _rows(batch, batch.keys, ["returns", "values", "response_mask"])
        fields = TensorDict({"advantages": unwhitened(rows)}, batch_size=len(batch))
        return tq.kv_batch_put(keys=batch.keys, partition_id=batch.partition_id, fields=fields)

    def _update_actor(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        batch.extra_info["stop_kl"] = self.training.stop_kl or math.inf  # read in workers.py
        batch = super()._update_actor(batch, metrics)
        batch.extra_info.pop("stop_kl")
        return batch


def _rows(batch: KVBatchMeta, keys: list[str], fields: list[str]) -> TensorDict:
    return tq.kv_batch_get(keys=keys, partition_id=batch.partition_id, select_fields=fields)
