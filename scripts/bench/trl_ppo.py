#!/usr/bin/env python3
"""PPO with TRL 1.12.0, whose last PPO trainer is trl.experimental.ppo.PPOTrainer: a rival.

It runs in an environment of its own, on the CPU build of torch that locks/cpu.txt names:

    python3.11 -m venv ~/env-trl
    ~/env-trl/bin/pip install torch==2.13.0+cpu
    ~/env-trl/bin/pip install trl==1.12.0 transformers==5.10.4 psutil
    ~/env-trl/bin/python scripts/bench/trl_ppo.py --model MODEL --data ROWS.json --json trl.json

TRL takes a reward as a model: the rule stands in a module that reads token ids and answers with
scores. Everything that TRL lets one set is set as in plain_ppo.py: one epoch, one mini batch, the
KL against the start in the reward, a critic of the policy's size, AdamW (fused, two learning
rates, cosine), no gradient checkpointing, forward passes over the whole batch. What differs:

- old log-probabilities come from generation, so one pass of the policy less than verl; the update
  is one backward pass through policy and critic together;
- gradients are not clipped, the policy's loss has no dual clip, and logits of the prompt are
  computed too; the entropy and other statistics are computed in every update;
- the score stands one place after the end token, and the value there counts (TRL's `_p1` masks);
- an answer of exact length ends at a padding token if the policy happens to sample one. It takes as
  long as any other.

Parts: "generate" is the policy's generate, "forward" all that follows up to the update's pass.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedTokenizerBase,
    TrainerCallback,
)

BENCH = Path(__file__).resolve().parent
sys.path[:0] = [str(BENCH), str(BENCH.parents[1])]
from rivals import contract  # noqa: E402

from rewards.rules.math_reasoning import quick_score  # noqa: E402


def prompt_ids(tokenizer: PreTrainedTokenizerBase, row: contract.Row) -> list[int]:
    chat = [{"role": "user", "content": row["prompt"]}]
    return tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)


class RuleAsModel(nn.Module):
    """The rule with the two attributes that TRL asks of a reward model: a body, named by
    `base_model_prefix`, and `score`, which maps the body's last output to (batch, length, 1)."""

    base_model_prefix = "body"

    def __init__(self, tokenizer: PreTrainedTokenizerBase, rows: Sequence[contract.Row]) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.truths = {tuple(prompt_ids(tokenizer, row)): row["ground_truth"] for row in rows}
        self.lengths = sorted({len(prompt) for prompt in self.truths})
        self.mean_tokens = 0.0

    def body(self, input_ids: Tensor, attention_mask: Tensor, **_unused: Any) -> SimpleNamespace:
        pairs = zip(input_ids, attention_mask, strict=True)
        answers, truths = zip(*[self._parts(ids, keep) for ids, keep in pairs], strict=True)
        texts = self.tokenizer.batch_decode(answers, skip_special_tokens=True)
        self.mean_tokens = sum(map(len, answers)) / len(answers)
        pairs = zip(texts, truths, strict=True)
        scores = torch.tensor([quick_score(text, truth)["score"] for text, truth in pairs])
        return SimpleNamespace(hidden_states=[scores[:, None, None].expand(*input_ids.shape, 1)])

    def score(self, hidden: Tensor) -> Tensor:
        return hidden

    def _parts(self, ids: Tensor, keep: Tensor) -> tuple[list[int], str]:
        """The answer's tokens and the truth of the prompt before them."""
        tokens = ids[keep].tolist()
        for length in self.lengths:
            if (truth := self.truths.get(tuple(tokens[:length]))) is not None:
                return tokens[length:], truth
        raise LookupError(f"no row has the prompt of {self.tokenizer.decode(tokens)!r}")


class Watch(TrainerCallback):
    """Turns what a step of TRL does into the record's parts."""

    def __init__(self, record: contract.Record, rule: RuleAsModel, policy: nn.Module) -> None:
        self.record, self.rule, self.score = record, rule, 0.0
        self.began = self.generated = self.updating = 0.0
        self.generate, self.generate_s = policy.generate, 0.0
        policy.generate = self._timed

    def _timed(self, *given: Any, **options: Any) -> Any:
        began = time.perf_counter()
        found = self.generate(*given, **options)
        self.generated = time.perf_counter()
        self.generate_s += self.generated - began
        return found

    def before_update(self, *_unused: Any) -> None:
        self.updating = time.perf_counter()

    def on_train_begin(self, *_unused: Any, **_options: Any) -> None:
        self.began = time.perf_counter()

    def on_log(self, *_unused: Any, logs: dict[str, float], **_options: Any) -> None:
        self.score = logs["objective/scores"]

    def on_step_end(self, *_unused: Any, **_options: Any) -> None:
        now = time.perf_counter()
        forward_s, update_s = self.updating - self.generated, now - self.updating
        parts_s = {"generate": self.generate_s, "forward": forward_s, "update": update_s}
        self.record.add(now - self.began, parts_s, self.score, self.rule.mean_tokens)
        line = f"step {len(self.record.step_s)}  {now - self.began:.3f} s  reward {self.score:.3f}"
        print(f"{line}  {self.rule.mean_tokens:.1f} tokens", flush=True)
        self.began, self.generate_s = time.perf_counter(), 0.0


def config_of(args: argparse.Namespace, folder: str) -> Any:
    from trl.experimental.ppo import PPOConfig

    return PPOConfig(
        output_dir=folder,
        use_cpu=True,
        bf16=False,
        seed=args.seed,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        gradient_checkpointing=False,
        total_episodes=args.prompts * args.steps,
        per_device_train_batch_size=args.prompts,
        local_rollout_forward_batch_size=args.prompts,
        num_mini_batches=1,
        num_ppo_epochs=1,
        num_sample_generations=0,
        response_length=args.response_tokens,
        stop_token=None if args.exact else "eos",
        temperature=1.0,
        kl_coef=args.kl,
        cliprange=0.2,
        cliprange_value=0.5,
        vf_coef=1.0,
        gamma=1.0,
        lam=args.lam,
    )


def optimizer_of(policy: nn.Module, critic: nn.Module, args: argparse.Namespace) -> tuple[Any, Any]:
    groups = [
        {"params": list(policy.parameters()), "lr": args.lr},
        {"params": list(critic.parameters()), "lr": args.critic_lr},
    ]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.999), weight_decay=0.01, fused=True)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, contract.cosine(args.steps))


def train(args: argparse.Namespace, record: contract.Record, folder: str) -> None:
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl.experimental.ppo import PPOTrainer

    tokenizer = AutoTokenizer.from_pretrained(args.model)
    rows = contract.read_rows(args.data, args.prompts)
    given = {"dtype": torch.float32}
    policy = AutoModelForCausalLM.from_pretrained(args.model, **given)
    reference = AutoModelForCausalLM.from_pretrained(args.model, **given)
    critic = AutoModelForSequenceClassification.from_pretrained(args.model, num_labels=1, **given)
    rule = RuleAsModel(tokenizer, rows)
    watch = Watch(record, rule, policy)
    trainer = PPOTrainer(
        args=config_of(args, folder),
        processing_class=tokenizer,
        model=policy,
        ref_model=reference,
        reward_model=rule,
        value_model=critic,
        train_dataset=Dataset.from_list([{"input_ids": prompt_ids(tokenizer, r)} for r in rows]),
        optimizers=optimizer_of(policy, critic, args),
        callbacks=[watch],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.model.register_forward_pre_hook(watch.before_update)
    trainer.train()


def main(words: Sequence[str] | None = None) -> None:
    parser = contract.parser_of(__doc__.splitlines()[0])
    args = parser.parse_args(words)
    contract.check(parser, args)
    try:
        import trl  # noqa: F401
    except ImportError:
        parser.error(f"TRL is not in this environment ({sys.prefix}); one for it:\n{COMMANDS}")
    torch.set_num_threads(args.threads)
    record = contract.begin("trl", args, ("torch", "transformers", "trl", "accelerate"))
    with tempfile.TemporaryDirectory(prefix="bench-trl-") as folder:
        train(args, record, folder)


COMMANDS = "\n".join(line.strip() for line in __doc__.splitlines() if "env-trl" in line)

if __name__ == "__main__":
    main()
