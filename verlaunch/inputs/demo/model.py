"""The demo's model: a Qwen2 of 0.36 M parameters with a careless teacher.

    folder = cached_model(cache_dir(), seed=1, report=print)

Supervised steps show every sum with its answer or with one that is off by one: for half of the
sums the wrong one comes more often. That leaves a policy that writes, ends, and is right about half
the time, greedily as well as sampled, with the right answer never out of reach: PPO then has to
find out from the reward which sums were taught wrongly. Left out on purpose: any choice of size or
task; whoever wants another model passes --model.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM
from transformers.utils import logging

from verlaunch.inputs.demo.sizes import SIZES
from verlaunch.inputs.demo.task import sums
from verlaunch.inputs.demo.tokenizer import make_tokenizer

# Raise it when anything here or in the tokenizer changes: cached models carry it in their name.
VERSION = 2
WINDOW = (0.45, 0.58)  # greedy accuracy to stop at
LEAST_SAMPLED = 0.42  # below it answers are still so random that PPO learns slowly
SLIP, DOUBT = 0.7, 0.2  # how often the teacher is wrong on one half of the sums, and on the other
LEARNING_RATE, BATCH, CHECK_EVERY, MAX_STEPS = 1.5e-3, 50, 5, 1000
IGNORED = -100


@dataclass(frozen=True)
class Lesson:
    """Token ids and labels, (rows, length); labels are IGNORED on prompts and padding."""

    ids: torch.Tensor
    labels: torch.Tensor


def _architecture(tokenizer: PreTrainedTokenizerFast) -> Qwen2Config:
    return Qwen2Config(
        vocab_size=len(tokenizer),
        **SIZES,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _lesson(tokenizer: PreTrainedTokenizerFast, rows: list[dict[str, str]]) -> Lesson:
    ids, labels = [], []
    for row in rows:
        chat = [{"role": "user", "content": row["prompt"]}]
        prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
        answer = [*tokenizer.encode(row["ground_truth"]), tokenizer.eos_token_id]
        ids.append(torch.tensor(prompt + answer))
        labels.append(torch.tensor([IGNORED] * len(prompt) + answer))
    # Padding stands on the right, where causal attention never sees it: no mask is needed.
    return Lesson(
        pad_sequence(ids, batch_first=True, padding_value=tokenizer.pad_token_id),
        pad_sequence(labels, batch_first=True, padding_value=IGNORED),
    )


def _slips(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The same sums, each with an answer that is one too high or too low (0 becomes 1)."""
    steps = (torch.randint(2, (len(rows),)) * 2 - 1).tolist()
    wrong = [abs(int(row["ground_truth"]) + step) for row, step in zip(rows, steps, strict=True)]
    return [row | {"ground_truth": str(sum_)} for row, sum_ in zip(rows, wrong, strict=True)]


def _weights(sums: int) -> torch.Tensor:
    """How often the teacher shows each sum right, then each sum wrong, (2 * sums,)."""
    wrong = torch.full((sums,), DOUBT)
    wrong[torch.randperm(sums)[: sums // 2]] = SLIP
    return torch.cat([1 - wrong, wrong])


@torch.no_grad()
def _accuracies(model: Qwen2ForCausalLM, lesson: Lesson) -> tuple[float, float]:
    """Greedy and expected sampled accuracy, in [0, 1], the end token included.

    One pass over the right answers tells both without generating: greedy decoding is right just
    when the likeliest token is right at every place after a right beginning.
    """
    logits, labels = model(input_ids=lesson.ids).logits[:, :-1], lesson.labels[:, 1:]
    prompt = labels == IGNORED
    greedy = ((logits.argmax(-1) == labels) | prompt).all(dim=1).float().mean()
    chosen = logits.log_softmax(-1).gather(-1, labels.clamp(min=0)[..., None]).squeeze(-1)
    return greedy.item(), chosen.masked_fill(prompt, 0).sum(dim=1).exp().mean().item()


def _teach(model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast) -> tuple[int, float]:
    """Returns the supervised steps taken, and the greedy accuracy they ended with."""
    rows = sums()
    right, both = _lesson(tokenizer, rows), _lesson(tokenizer, rows + _slips(rows))
    weights = _weights(len(rows))
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    for step in range(1, MAX_STEPS + 1):
        shown = torch.multinomial(weights, BATCH, replacement=True)
        optimizer.zero_grad()
        model(input_ids=both.ids[shown], labels=both.labels[shown]).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % CHECK_EVERY == 0:
            greedy, sampled = _accuracies(model, right)
            if WINDOW[0] <= greedy <= WINDOW[1] and sampled >= LEAST_SAMPLED:
                return step, greedy
    raise RuntimeError(f"the demo's model never was right on {WINDOW} of the sums")


@contextmanager
def _reproducible(seed: int) -> Iterator[None]:
    """Seeds torch, and gives it one thread: sums are then added in one order (and, at this size,
    faster than by several). Both are put back."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)


def _save(model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    logging.disable_progress_bar()  # one bar per file, on the user's screen
    model.save_pretrained(folder)
    logging.enable_progress_bar()
    tokenizer.save_pretrained(folder)


def make_model(folder: Path, seed: int, report: Callable[[str], None]) -> Path:
    """Builds the model and returns its Hugging Face folder, which is there whole or not at all.

    Raises OSError when the folder is already there with something in it, or can't be written.
    """
    tokenizer = make_tokenizer()
    with _reproducible(seed):
        model = Qwen2ForCausalLM(_architecture(tokenizer))
        report(f"Making the demo's model: Qwen2, {model.num_parameters():,} parameters")
        steps, greedy = _teach(model, tokenizer)
    report(f"After {steps} supervised steps it gets {greedy:.0%} of the 100 sums right")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as building:
        _save(model, tokenizer, Path(building) / "model")
        os.replace(Path(building) / "model", folder)
    return folder


def cached_model(cache: Path, seed: int, report: Callable[[str], None]) -> Path:
    """The model for this seed below `cache`; built when it isn't there."""
    folder = cache / f"demo-v{VERSION}-seed{seed}"
    if folder.is_dir():
        return folder
    try:
        return make_model(folder, seed, report)
    except OSError:
        if folder.is_dir():  # another run was quicker; its weights are the same
            return folder
        raise
