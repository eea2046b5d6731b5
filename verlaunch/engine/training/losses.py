"""The critic's loss with a weight of one's own.

    partial(weighted_value_loss, 1.0, config=critic_config)

PPO adds c1 (V - R)^2 to its loss (arXiv 1707.06347, eq. 9); verl's value loss is that with c1 = 0.5
(trainer/ppo/core_algos.py:2175). Here critic is a network of its own: the weight scales its whole
gradient, of which Adam takes the scale out again, so that it matters through the gradient clipping.
"""

from typing import Any

import torch
from tensordict import TensorDict
from verl.workers.config import CriticConfig
from verl.workers.utils.losses import value_loss

VERLS_COEF = 0.5


def weighted_value_loss(
    value_coef: float,
    config: CriticConfig,
    model_output: dict[str, torch.Tensor],
    data: TensorDict,
    dp_group: Any = None,
) -> tuple[torch.Tensor, dict[str, Any]]:
    """critic/vf_loss stays half the mean squared error, whatever the weight; critic/loss is what
    was minimised."""
    loss, metrics = value_loss(config, model_output, data, dp_group)
    return loss * (value_coef / VERLS_COEF), metrics
