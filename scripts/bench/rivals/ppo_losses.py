"""PPO's arithmetic on tensors of one batch, as verl does it.

    advantages, returns = gae(rewards, values, mask, lam=0.95)
    policy_loss(new, old, advantages, mask).backward()

GAE over the response tokens (arXiv 1506.02438), advantages whitened over the batch, clipped and
dual-clipped token-mean policy loss (arXiv 1707.06347, 1912.09729), clipped value loss. Every tensor
is (batch, response) and `mask` is 1.0 up to and including the end token. gamma is 1.
"""

import torch
from torch import Tensor

CLIP, DUAL_CLIP, CLIP_VALUE = 0.2, 3.0, 0.5


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum() / mask.sum()


def gae(rewards: Tensor, values: Tensor, mask: Tensor, lam: float) -> tuple[Tensor, Tensor]:
    """Whitened advantages and returns; unused after the end token."""
    advantage = next_value = torch.zeros(len(rewards))
    advantages = []
    for t in reversed(range(rewards.shape[1])):
        delta = rewards[:, t] + next_value - values[:, t]
        here = mask[:, t]
        advantage = torch.where(here > 0, delta + lam * advantage, advantage)
        next_value = torch.where(here > 0, values[:, t], next_value)
        advantages.append(advantage)
    raw = torch.stack(advantages[::-1], dim=1)
    centred = raw - masked_mean(raw, mask)
    variance = (centred**2 * mask).sum() / (mask.sum() - 1)
    return centred * torch.rsqrt(variance + 1e-8), raw + values


def policy_loss(new: Tensor, old: Tensor, advantages: Tensor, mask: Tensor) -> Tensor:
    ratio = (new - old).clamp(-20, 20).exp()
    clipped = ratio.clamp(1 - CLIP, 1 + CLIP)
    losses = torch.maximum(-advantages * ratio, -advantages * clipped)
    dual = torch.minimum(-advantages * DUAL_CLIP, losses)
    return masked_mean(torch.where(advantages < 0, dual, losses), mask)


def value_loss(new: Tensor, old: Tensor, returns: Tensor, mask: Tensor) -> Tensor:
    clipped = new.clamp(old - CLIP_VALUE, old + CLIP_VALUE)
    return 0.5 * masked_mean(torch.maximum((new - returns) ** 2, (clipped - returns) ** 2), mask)
