#!/usr/bin/env python
"""PPO in one process, with nothing but PyTorch and transformers: our small-scale rival.

    python scripts/bench/plain_ppo.py --model path/to/model --steps 120 --batch 50 --mini 25

The defaults are the CPU demo's settings; the rows are its 100 sums unless --data names others.
It follows verl's arithmetic: log-probabilities recomputed by the policy before the update, KL in
the reward against the frozen start, GAE over the response tokens (arXiv 1506.02438), advantages
whitened over the batch, clipped and dual-clipped token-mean policy loss (arXiv 1707.06347,
1912.09729), clipped value loss, AdamW, mini-batches in random order, the critic before the policy.
The critic is a copy of the model with a fresh linear head. One line per step goes to the screen.

What it leaves out is what an engine is for: several processes or GPUs, fast generation, micro-
batches, checkpoints. Its time per step therefore is a lower bound at toy size and nothing else.
"""

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from rewards.rules.math_reasoning import quick_score
from verlaunch.demo.task import problems

GAMMA, CLIP, DUAL_CLIP, CLIP_VALUE, CLIP_GRAD = 1.0, 0.2, 3.0, 0.5, 1.0


@dataclass(frozen=True)
class Rollout:
    """Left-padded prompts with their answers; all but `ids` and `attention` are (batch, answer)."""

    ids: Tensor
    attention: Tensor
    mask: Tensor
    old_log_probs: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor

    def mini_batches(self, size: int, epochs: int) -> Iterator["Rollout"]:
        for _ in range(epochs):
            for index in torch.randperm(len(self.ids)).split(size):
                yield Rollout(**{name: value[index] for name, value in vars(self).items()})


class Critic(nn.Module):
    """A copy of the policy's body with one new output: the value of what has been written."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.body = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).model
        self.head = nn.Linear(self.body.config.hidden_size, 1)
        nn.init.normal_(self.head.weight, std=self.body.config.initializer_range)
        nn.init.zeros_(self.head.bias)

    def forward(self, ids: Tensor, attention: Tensor, length: int) -> Tensor:
        """Values before each of the last `length` tokens, (batch, length)."""
        hidden = self.body(ids, attention, position_ids=_positions(attention))[0]
        return self.head(hidden).squeeze(-1)[:, -length - 1 : -1]


def _positions(attention: Tensor) -> Tensor:
    return (attention.cumsum(-1) - 1).clamp(min=0)


def log_probs(policy: nn.Module, ids: Tensor, attention: Tensor, length: int) -> Tensor:
    """Log-probabilities of the last `length` tokens at temperature 1, (batch, length)."""
    logits = policy(ids, attention, position_ids=_positions(attention)).logits
    chosen = logits[:, -length - 1 : -1].log_softmax(-1)
    return chosen.gather(-1, ids[:, -length:, None]).squeeze(-1)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum() / mask.sum()


def gae(rewards: Tensor, values: Tensor, mask: Tensor, lam: float) -> tuple[Tensor, Tensor]:
    """Whitened advantages and returns, (batch, answer); unused after the end token."""
    advantage = next_value = torch.zeros(len(rewards))
    advantages = []
    for t in reversed(range(rewards.shape[1])):
        delta = rewards[:, t] + GAMMA * next_value - values[:, t]
        here = mask[:, t]
        advantage = torch.where(here > 0, delta + GAMMA * lam * advantage, advantage)
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


class Sampler:
    """Writes answers with Hugging Face generate, and scores them."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, tokens: int) -> None:
        self.tokenizer, self.tokens = tokenizer, tokens

    def write(
        self, policy: nn.Module, rows: list[dict], sample: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Returns ids and attention (batch, prompt + answer), mask (batch, answer), scores."""
        chats = [[{"role": "user", "content": row["prompt"]}] for row in rows]
        prompts = self.tokenizer.apply_chat_template(
            chats, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
        )
        choice = {"temperature": 1.0, "top_k": 0, "top_p": 1.0} if sample else {}
        with torch.no_grad():
            ids = policy.generate(**prompts, do_sample=sample, max_new_tokens=self.tokens, **choice)
        answers = ids[:, prompts["input_ids"].shape[1] :]
        ended = (answers == self.tokenizer.eos_token_id).long().cumsum(-1)
        mask = (ended - (answers == self.tokenizer.eos_token_id).long() == 0).float()
        texts = self.tokenizer.batch_decode(
            [answer[keep > 0] for answer, keep in zip(answers, mask, strict=True)],
            skip_special_tokens=True,
        )
        scores = [_score(row, text) for row, text in zip(rows, texts, strict=True)]
        attention = torch.cat([prompts["attention_mask"], mask.long()], dim=1)
        return ids, attention, mask, torch.tensor(scores)


def _score(row: dict, text: str) -> float:
    return quick_score(text, row["ground_truth"])["score"]


class Trainer:
    """The policy, its frozen start, the critic, and one PPO step over them."""

    def __init__(self, args: argparse.Namespace) -> None:
        load = AutoModelForCausalLM.from_pretrained
        self.policy = load(args.model, dtype=torch.float32)
        self.reference = load(args.model, dtype=torch.float32).requires_grad_(False)
        self.critic = Critic(args.model)
        self.sampler = Sampler(AutoTokenizer.from_pretrained(args.model), args.tokens)
        self.args = args
        adamw = {"betas": (0.9, 0.999), "weight_decay": 0.01}
        self.actor_optimizer = torch.optim.AdamW(self.policy.parameters(), lr=args.lr, **adamw)
        self.critic_optimizer = torch.optim.AdamW(
            self.critic.parameters(), lr=args.critic_lr, **adamw
        )
        scale = _schedule(args.schedule, args.steps)
        self.schedulers = [
            torch.optim.lr_scheduler.LambdaLR(optimizer, scale)
            for optimizer in (self.actor_optimizer, self.critic_optimizer)
        ]

    @torch.no_grad()
    def experience(self, rows: list[dict]) -> tuple[Rollout, float, float]:
        """Samples one answer per row. Returns them with the mean score and the mean KL."""
        ids, attention, mask, scores = self.sampler.write(self.policy, rows, sample=True)
        length = mask.shape[1]
        old = log_probs(self.policy, ids, attention, length)
        kl = (old - log_probs(self.reference, ids, attention, length)) * mask
        values = self.critic(ids, attention, length)
        rewards = -self.args.kl * kl
        rewards[torch.arange(len(rows)), mask.sum(1).long() - 1] += scores
        advantages, returns = gae(rewards, values, mask, self.args.lam)
        rollout = Rollout(ids, attention, mask, old, values, advantages, returns)
        return rollout, scores.mean().item(), masked_mean(kl, mask).item()

    def update_critic(self, batch: Rollout) -> None:
        values = self.critic(batch.ids, batch.attention, batch.mask.shape[1])
        loss = value_loss(values, batch.values, batch.returns, batch.mask)
        _descend(loss, self.critic, self.critic_optimizer)

    def update_policy(self, batch: Rollout) -> None:
        new = log_probs(self.policy, batch.ids, batch.attention, batch.mask.shape[1])
        loss = policy_loss(new, batch.old_log_probs, batch.advantages, batch.mask)
        _descend(loss, self.policy, self.actor_optimizer)

    def step(self, rows: list[dict]) -> tuple[float, float]:
        """One PPO step; returns the mean score and the mean KL per token."""
        rollout, score, kl = self.experience(rows)
        for batch in rollout.mini_batches(self.args.mini, self.args.critic_epochs):
            self.update_critic(batch)
        for batch in rollout.mini_batches(self.args.mini, self.args.epochs):
            self.update_policy(batch)
        for scheduler in self.schedulers:
            scheduler.step()
        return score, kl

    def greedy_accuracy(self, rows: list[dict]) -> float:
        return self.sampler.write(self.policy, rows, sample=False)[-1].mean().item()


def _descend(loss: Tensor, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), CLIP_GRAD)
    optimizer.step()


def _schedule(name: str, steps: int) -> Callable[[int], float]:
    """The factor on the learning rate after so many PPO steps: cosine ends at 0."""
    if name == "constant":
        return lambda step: 1.0
    return lambda step: 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))


def batches(rows: list[dict], size: int, seed: int) -> Iterator[list[dict]]:
    """Endless batches; each row comes once before any comes twice."""
    shuffle, queue = random.Random(seed), []
    while True:
        while len(queue) < size:
            queue += shuffle.sample(rows, len(rows))
        yield queue[:size]
        queue = queue[size:]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="a Hugging Face folder")
    parser.add_argument("--data", type=Path, help="JSON rows; by default the demo's 100 sums")
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--batch", type=int, default=50, help="prompts per step")
    parser.add_argument("--mini", type=int, default=25, help="prompts per optimizer step")
    parser.add_argument("--epochs", type=int, default=2, help="policy epochs per step")
    parser.add_argument("--critic_epochs", type=int, default=2)
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--critic_lr", type=float, default=1e-3)
    parser.add_argument("--schedule", choices=("constant", "cosine"), default="cosine")
    parser.add_argument("--lam", type=float, default=0.95)
    parser.add_argument("--kl", type=float, default=0.001)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=8, help="longest answer")
    parser.add_argument("--test_freq", type=int, default=20, help="steps between greedy tests")
    parser.add_argument("--threads", type=int, default=1, help="1 is fastest for tiny models")
    return parser.parse_args()


def main() -> None:
    args = _arguments()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    rows = json.loads(args.data.read_text()) if args.data else problems()
    trainer = Trainer(args)
    print(f"start  greedy {trainer.greedy_accuracy(rows):.3f}", flush=True)
    stream = batches(rows, args.batch, args.seed)
    for step in range(1, args.steps + 1):
        began = time.perf_counter()
        score, kl = trainer.step(next(stream))
        line = f"step {step}  {time.perf_counter() - began:.3f} s  reward {score:.3f}  kl {kl:.4f}"
        if step % args.test_freq == 0 or step == args.steps:
            line += f"  greedy {trainer.greedy_accuracy(rows):.3f}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
