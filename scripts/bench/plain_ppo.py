#!/usr/bin/env python3
"""PPO in one process, with nothing but PyTorch and transformers: our small-scale rival.

    .venv/bin/python scripts/bench/plain_ppo.py --model MODEL --data ROWS.json --json plain.json
    .venv/bin/python scripts/bench/plain_ppo.py --model MODEL --data ROWS.json --prompts 100 \\
        --mini 50 --epochs 2 --steps 60      # the CPU demo's recipe: sampled reward 0.4 to 0.8

It does verl's arithmetic (rivals/ppo_losses.py): KL in the reward against the frozen start, a
critic of the policy's size (a copy with a fresh linear head), AdamW, gradients clipped at 1, a
cosine on both learning rates. It is as fast as such a loop gets without an engine: one padded
batch, Hugging Face generate with its cache, logits of the response only, fused AdamW, all cores.
With one epoch and one mini batch the log-probabilities before the update are those that the update
starts from, so one pass with gradients serves both; it then counts as "forward", and "update" is
the backward passes and AdamW. With more mini batches both are computed again, as in verl.

What it leaves out is what an engine is for: several processes or GPUs, paged generation, micro
batches (both graphs of a whole mini batch are in memory at once), checkpoints.
"""

import argparse
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

BENCH = Path(__file__).resolve().parent
sys.path[:0] = [str(BENCH), str(BENCH.parents[1])]
from rivals import contract  # noqa: E402
from rivals.ppo_losses import gae, masked_mean, policy_loss, value_loss  # noqa: E402

from rewards.rules.math_reasoning import quick_score  # noqa: E402

CLIP_GRAD = 1.0
ADAMW = {"betas": (0.9, 0.999), "weight_decay": 0.01, "fused": True}


@dataclass(frozen=True)
class Answers:
    """Left-padded prompts with their answers: (batch, prompt + answer), and (batch, answer)."""

    ids: Tensor
    attention: Tensor
    mask: Tensor  # 1.0 up to and including the end token
    scores: Tensor  # (batch,)


@dataclass(frozen=True)
class Rollout:
    """What an update needs; all but `ids` and `attention` are (batch, answer)."""

    ids: Tensor
    attention: Tensor
    mask: Tensor
    old: Tensor  # log-probabilities
    values: Tensor
    advantages: Tensor
    returns: Tensor

    def mini_batches(self, size: int, epochs: int) -> Iterator["Rollout"]:
        for _ in range(epochs):
            for index in torch.randperm(len(self.ids)).split(size):
                yield Rollout(**{name: value[index] for name, value in vars(self).items()})


class Critic(nn.Module):
    """The policy's body with one new output: the value of what has been written."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.body = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).model
        self.head = nn.Linear(self.body.config.hidden_size, 1)
        nn.init.normal_(self.head.weight, std=self.body.config.initializer_range)
        nn.init.zeros_(self.head.bias)

    def forward(self, answers: Answers | Rollout) -> Tensor:
        """Values before each token of the answers, (batch, answer)."""
        length = answers.mask.shape[1]
        hidden = self.body(**_inputs(answers), use_cache=False)[0]
        return self.head(hidden[:, -length - 1 : -1]).squeeze(-1)


def _inputs(answers: Answers | Rollout) -> dict[str, Tensor]:
    positions = (answers.attention.cumsum(-1) - 1).clamp(min=0)
    return {
        "input_ids": answers.ids, "attention_mask": answers.attention, "position_ids": positions
    }  # fmt: skip


def log_probs(policy: nn.Module, answers: Answers | Rollout) -> Tensor:
    """Log-probabilities of the answers' tokens at temperature 1, (batch, answer)."""
    length = answers.mask.shape[1]
    inputs = _inputs(answers)
    logits = policy(**inputs, logits_to_keep=length + 1, use_cache=False).logits[:, :-1]
    chosen = logits.gather(-1, answers.ids[:, -length:, None]).squeeze(-1)
    return chosen - logits.logsumexp(-1)


class Sampler:
    """Writes answers with Hugging Face generate, and scores them."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, tokens: int, exact: bool) -> None:
        self.tokenizer = tokenizer
        self.choice = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0}
        self.limits = {"max_new_tokens": tokens, "min_new_tokens": tokens if exact else None}

    @torch.no_grad()
    def write(self, policy: nn.Module, rows: Sequence[contract.Row]) -> Answers:
        chats = [[{"role": "user", "content": row["prompt"]}] for row in rows]
        prompts = self.tokenizer.apply_chat_template(
            chats, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
        )
        ids = policy.generate(**prompts, **self.choice, **self.limits)
        written = ids[:, prompts["input_ids"].shape[1] :]
        ends = (written == self.tokenizer.eos_token_id).long()
        mask = (ends.cumsum(-1) - ends == 0).long()
        scores = self._scores(rows, written, mask)
        return Answers(ids, torch.cat([prompts["attention_mask"], mask], 1), mask.float(), scores)

    def _scores(self, rows: Sequence[contract.Row], written: Tensor, mask: Tensor) -> Tensor:
        kept = [ids[keep > 0] for ids, keep in zip(written, mask, strict=True)]
        texts = self.tokenizer.batch_decode(kept, skip_special_tokens=True)
        pairs = zip(texts, rows, strict=True)
        return torch.tensor(
            [quick_score(text, row["ground_truth"])["score"] for text, row in pairs]
        )


class Trainer:
    """The policy, its frozen start, the critic, and one PPO step over them."""

    def __init__(self, args: argparse.Namespace) -> None:
        load = AutoModelForCausalLM.from_pretrained
        self.policy = load(args.model, dtype=torch.float32)
        self.reference = load(args.model, dtype=torch.float32).requires_grad_(False)
        self.critic = Critic(args.model)
        tokenizer = AutoTokenizer.from_pretrained(args.model)
        self.sampler = Sampler(tokenizer, args.response_tokens, args.exact)
        self.args = args
        self.once = args.epochs == 1 and args.mini >= args.prompts
        rates = ((self.policy, args.lr), (self.critic, args.critic_lr))
        self.optimizers = [torch.optim.AdamW(m.parameters(), lr=lr, **ADAMW) for m, lr in rates]
        self.schedulers = [
            torch.optim.lr_scheduler.LambdaLR(optimizer, contract.cosine(args.steps))
            for optimizer in self.optimizers
        ]

    def passes(self, answers: Answers) -> tuple[Tensor, Tensor, Tensor]:
        """Log-probabilities and values, with gradients where one pass is all, and the KL."""
        with torch.set_grad_enabled(self.once):
            new, values = log_probs(self.policy, answers), self.critic(answers)
        with torch.no_grad():
            kl = (new - log_probs(self.reference, answers)) * answers.mask
        return new, values, kl

    def rollout(self, answers: Answers, old: Tensor, values: Tensor, kl: Tensor) -> Rollout:
        rewards = -self.args.kl * kl
        rewards[torch.arange(len(kl)), answers.mask.sum(1).long() - 1] += answers.scores
        advantages, returns = gae(rewards, values, answers.mask, self.args.lam)
        batch = answers.ids, answers.attention, answers.mask
        return Rollout(*batch, old, values, advantages, returns)

    def descend(self, new: Tensor, values: Tensor, batch: Rollout) -> None:
        policy = policy_loss(new, batch.old, batch.advantages, batch.mask)
        critic = value_loss(values, batch.values, batch.returns, batch.mask)
        models = self.policy, self.critic
        for loss, model, optimizer in zip((policy, critic), models, self.optimizers, strict=True):
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP_GRAD)
            optimizer.step()

    def step(self, rows: Sequence[contract.Row], record: contract.Record) -> str:
        """One PPO step; returns a line about it."""
        clock = contract.Clock()
        with clock.part("generate"):
            answers = self.sampler.write(self.policy, rows)
        with clock.part("forward"):
            new, values, kl = self.passes(answers)
            rollout = self.rollout(answers, new.detach(), values.detach(), kl)
        with clock.part("update"):
            if self.once:
                self.descend(new, values, rollout)
            else:
                for batch in rollout.mini_batches(self.args.mini, self.args.epochs):
                    self.descend(log_probs(self.policy, batch), self.critic(batch), batch)
            for scheduler in self.schedulers:
                scheduler.step()
        reward, tokens = answers.scores.mean().item(), answers.mask.sum(1).mean().item()
        record.add(clock.step_s(), clock.parts_s, reward, tokens)
        drift = masked_mean(kl, answers.mask).item()
        return (
            f"{record.step_s[-1]:.3f} s  reward {reward:.3f}  kl {drift:.4f}  {tokens:.1f} tokens"
        )


def batches(rows: list[contract.Row], size: int, seed: int) -> Iterator[list[contract.Row]]:
    """Endless batches; each row comes once before any comes twice."""
    shuffle, queue = random.Random(seed), list[contract.Row]()
    while True:
        while len(queue) < size:
            queue += shuffle.sample(rows, len(rows))
        yield queue[:size]
        queue = queue[size:]


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = contract.parser_of(__doc__.splitlines()[0])
    parser.add_argument("--mini", type=int, help="prompts per optimizer step; default: all")
    parser.add_argument("--epochs", type=int, default=1, help="passes over a step's answers")
    args = parser.parse_args(words)
    args.mini = args.mini or args.prompts
    contract.check(parser, args)
    return args


def main(words: Sequence[str] | None = None) -> None:
    args = arguments(words)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    record = contract.begin("plain", args, ("torch", "transformers"))
    stream = batches(contract.read_rows(args.data, args.prompts), args.prompts, args.seed)
    trainer = Trainer(args)
    for step in range(1, args.steps + 1):
        print(f"step {step}  {trainer.step(next(stream), record)}", flush=True)


if __name__ == "__main__":
    main()
