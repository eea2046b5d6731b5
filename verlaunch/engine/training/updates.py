"""Which optimizer steps of a batch are taken: none more once the policy has left it too far.

    updates = Updates(limit=0.01, per_epoch=2)
    loss = updates.measuring(loss)  # the same, which also adds up the KL of each micro batch
    updates.allow()    # asked on every rank before each optimizer step: True or False
    updates.metrics()  # {"updates": [3], "approx_kl": [0.012], "stop_epoch": [2]}

The KL is that of the policy which generated the responses to the policy now, in nats per token:
the mean over the response tokens of a mini batch of r - 1 - log r, with r = pi(a) / pi_old(a). It
is never negative, has little variance, and its mean over tokens drawn from pi_old is the KL
(estimator k3, joschu.net/blog/kl-approx.html). verl's actor/ppo_kl is the mean of -log r alone.
Left out on purpose: the KL to the reference model, which is in the reward or in the loss.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from tensordict import TensorDict
from verl.utils.device import get_device_id
from verl.workers.utils.padding import no_padding_2_padding

Loss = Callable[..., tuple[torch.Tensor, dict[str, Any]]]


def k3(log_ratio: torch.Tensor) -> torch.Tensor:
    """r - 1 - log r; near r = 1, where nothing is left of exp(x) - 1 in fp32, still exact."""
    return torch.expm1(log_ratio) - log_ratio


class Updates:
    """One training step of the actor on one rank; every rank decides alike."""

    def __init__(self, limit: float, per_epoch: int) -> None:
        self.limit = limit  # nats per token; infinity never stops
        self.per_epoch = per_epoch  # mini batches
        self.stopped = False
        self.missed = 0  # steps that a gradient which is no number took away
        self.seen: list[float] = []  # the KL of each mini batch that was measured
        self._clear()

    def _clear(self) -> None:
        self.sum_and_count = torch.zeros(2, dtype=torch.float64, device=get_device_id())

    def measuring(self, loss: Loss) -> Loss:
        def measured(
            model_output: dict[str, torch.Tensor], data: TensorDict, dp_group: Any = None
        ) -> tuple[torch.Tensor, dict[str, Any]]:
            self._add(model_output["log_probs"], data)
            return loss(model_output=model_output, data=data, dp_group=dp_group)

        return measured

    def _add(self, log_probs: torch.Tensor, data: TensorDict) -> None:
        new = no_padding_2_padding(log_probs.detach(), data)
        old = data.select("response_mask", "old_log_probs").to_padded_tensor()
        mask = old["response_mask"].bool()
        each = k3((new - old["old_log_probs"])[mask].double())
        self.sum_and_count += torch.stack([each.sum(), mask.sum().double()])

    def allow(self) -> bool:
        # Over the whole world: ranks of one sequence-parallel group hold the same tokens, which
        # changes no mean, and all get the same bits.
        torch.distributed.all_reduce(self.sum_and_count)
        total, count = self.sum_and_count.tolist()
        self._clear()
        self.seen.append(total / max(count, 1))
        self.stopped = self.seen[-1] > self.limit
        return not self.stopped

    def miss(self) -> None:
        self.missed += 1

    def metrics(self) -> dict[str, list[float]]:
        """As verl's workers return them: lists, of which the trainer takes the mean."""
        found = {
            "updates": [float(len(self.seen) - self.stopped - self.missed)],
            "approx_kl": [float(np.max(self.seen))],
        }
        if self.stopped:
            found["stop_epoch"] = [float((len(self.seen) - 1) // self.per_epoch + 1)]
        return found
