#!/usr/bin/env python3
"""How fast is a reward model behind our queue, against the same model batched by hand?

    .venv/bin/python scripts/bench/reward_model.py [--device cpu] [--json out.json]

Ours: `ModelPart.score`, all responses arriving one by one and at once, as rollouts send them. By
hand: the same conversations, tokenized, sorted by length, cut into batches of the same number of
tokens, and run by transformers. Both in this process, in turns, the other one first each time: the
ratio is the median of those of the rounds, so that a busy machine is not counted against either.
The goal is 0.9.
The model (Qwen2, 10.7 M parameters) is made here. Left out: vLLM, which batches by itself.
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from contest import Cell, Table, machine, median, versions, write_json
from gpu_check.models import write_model
from gpu_check.sizes import SIZES
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from rewards.models.model_part import ModelPart
from rewards.models.transformers_scorer import CPU_TOKENS, CUDA_TOKENS, devices
from rewards.models.vllm_settings import threads
from rewards.part import Row
from rewards.spec import ModelSpec

REQUESTS, ROUNDS = 256, 6
SHORTEST, LONGEST = 10, 160  # characters of a response; the tokenizer writes one token per byte
CLOSE = {"cpu": 1e-3, "cuda": 1e-1}  # between the two ways; bfloat16 on a card
WORDS = ("the", "river", "runs", "slowly", "past", "old", "stones", "towards", "a", "grey", "sea")


def make_rows(count: int) -> list[Row]:
    dice = random.Random(0)
    rows = []
    for i in range(count):
        length = dice.randint(SHORTEST, LONGEST)
        response = " ".join(dice.choices(WORDS, k=length))[:length]
        prompt = {"role": "user", "content": f"Question {i}: what does the river do?"}
        rows.append(Row("bench", response, messages=[prompt]))
    return rows


def batches(ordered: Sequence[list[int]], max_tokens: int) -> Iterator[list[list[int]]]:
    """ordered: the longest first."""
    batch: list[list[int]] = []
    for ids in ordered:
        if batch and (len(batch) + 1) * len(batch[0]) > max_tokens:
            yield batch
            batch = []
        batch.append(ids)
    yield batch


class ByHand:
    """What a careful script does. Its scores come in the order of the rows."""

    def __init__(self, folder: Path, tokenizer: Any, device: str, max_tokens: int) -> None:
        dtype = torch.float32 if device == "cpu" else torch.bfloat16
        model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=dtype)
        self._model = model.to(device).eval()
        self._tokenizer, self._device, self._max_tokens = tokenizer, device, max_tokens
        self._padding = tokenizer.pad_token_id

    @torch.inference_mode()
    def score(self, rows: Sequence[Row]) -> list[float]:
        texts = [
            self._tokenizer.apply_chat_template(
                [*row.messages, {"role": "assistant", "content": row.response}], tokenize=False
            )
            for row in rows
        ]
        encoded = self._tokenizer(texts, add_special_tokens=False)["input_ids"]
        order = sorted(range(len(rows)), key=lambda i: -len(encoded[i]))
        found: list[float] = []
        for batch in batches([encoded[i] for i in order], self._max_tokens):
            found += self._forward(batch)
        scores = dict(zip(order, found, strict=True))
        return [scores[i] for i in range(len(rows))]

    def _forward(self, batch: list[list[int]]) -> list[float]:
        longest = len(batch[0])
        ids = [each + [self._padding] * (longest - len(each)) for each in batch]
        mask = [[1] * len(each) + [0] * (longest - len(each)) for each in batch]
        inputs = (torch.tensor(rows, device=self._device) for rows in (ids, mask))
        return self._model(*inputs, use_cache=False).logits[:, 0].float().tolist()


async def ours(part: ModelPart, rows: Sequence[Row]) -> list[float]:
    found = await asyncio.gather(*[part.score(row) for row in rows])
    return [result["score"] for result in found]


@dataclass
class Measured:
    seconds: dict[str, list[float]]  # by contestant, one per round
    difference: float  # the largest between two scores of the same row
    curves: dict[str, float]


async def measure(
    folder: Path, tokenizer: Any, device: str, rows: list[Row], rounds: int
) -> Measured:
    hand = ByHand(folder, tokenizer, device, batch_tokens(device))
    part = ModelPart(
        ModelSpec(str(folder), device=device.partition(":")[0], backend="transformers")
    )
    await part.start()
    difference = _largest(await ours(part, rows), hand.score(rows))  # warms both up as well
    assert difference < CLOSE[device.partition(":")[0]], f"scores differ by {difference}"
    seconds: dict[str, list[float]] = {"ours": [], "by hand": []}
    for number in range(rounds):
        for name in list(seconds)[:: -1 if number % 2 else 1]:
            began = time.perf_counter()
            if name == "ours":
                await ours(part, rows)
            else:
                hand.score(rows)
            seconds[name].append(time.perf_counter() - began)
    curves = part.curves()
    await part.close()
    return Measured(seconds, difference, curves)


def batch_tokens(device: str) -> int:
    return CPU_TOKENS if device == "cpu" else CUDA_TOKENS


def _largest(a: Sequence[float], b: Sequence[float]) -> float:
    return max(abs(x - y) for x, y in zip(a, b, strict=True))


def table_of(found: Measured, requests: int) -> Table:
    hand = found.seconds["by hand"]
    ratio = {
        name: median([theirs / its for theirs, its in zip(hand, each, strict=True)])
        for name, each in found.seconds.items()
    }
    rows: list[list[Cell]] = [
        [name, requests, round(requests / median(each), 1), round(ratio[name], 3)]
        for name, each in found.seconds.items()
    ]
    return Table(("name", "requests", "per s", "x by hand"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    options = parser.parse_args()
    torch.set_num_threads(threads())
    rows = make_rows(options.requests)
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder), SIZES["10M"], architecture="Qwen2ForSequenceClassification")
        tokenizer = AutoTokenizer.from_pretrained(folder)
        device = devices(options.device, 0)[0]
        found = asyncio.run(measure(Path(folder), tokenizer, device, rows, options.rounds))
    print(machine())
    table = table_of(found, options.requests)
    print(table.text())
    write_json(
        options.json,
        table,
        versions=versions("torch", "transformers"),
        device=device,
        batch_tokens=batch_tokens(device),
        threads=threads(),
        seconds=found.seconds,
        largest_difference=found.difference,
        curves=found.curves,
    )


if __name__ == "__main__":
    main()
