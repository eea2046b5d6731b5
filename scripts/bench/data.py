#!/usr/bin/env python3
"""Rows prepared per second, and in how much memory: ours against `datasets.map`.

    .venv/bin/python scripts/bench/data.py --rows 10000,100000,1000000 --json data.json

Both read the same JSON lines, put each prompt into the same chat template, count its tokens with
the same fast tokenizer in batches, leave out what is too long and what is a duplicate, hold 256
rows out, and write verl's columns into two parquet files. Each works in one fresh process with an
empty cache, and the rows that each kept must be the same in number. Rows and tokenizer are made by
made_rows.py; --model takes a real one.

Ours does more: it hashes the input for its cache, counts what it drops, and learns the columns and
their types, which the other is told. It asks the tokenizer for the number of tokens alone, where
the other gets their lists, as scripts do. Seconds are those of the work, imports left out. Memory
is that of the whole process; "growth" is over its size after the imports. RSS and PSS have pages of
mapped files in them (the Arrow files of `datasets`), which the system may take back.
"""

import argparse
import hashlib
import json
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from contest import Cell, Table, Usage, child, in_turn, machine, median, versions, write_json
from made_rows import make_tokenizer, write_rows

from verlaunch.text import MIB

LIMIT, HELD_OUT = 256, 256


@dataclass(frozen=True)
class Work:
    """What a contestant reports of itself. start_uss: bytes after the imports."""

    train_rows: int
    val_rows: int
    seconds: float
    cpu_s: float
    start_uss: int


class Watch:
    """Begins after the imports, which are no part of the work."""

    def __init__(self) -> None:
        self.uss = psutil.Process().memory_full_info().uss
        self.began, self.cpu = time.perf_counter(), time.process_time()

    def done(self, train: int, val: int) -> Work:
        seconds, cpu_s = time.perf_counter() - self.began, time.process_time() - self.cpu
        return Work(train, val, seconds, cpu_s, self.uss)


def ours(rows: Path, model: str, out: Path) -> Work:
    import pandas  # noqa: F401  # pyarrow and the tokenizer import these two later by themselves
    from transformers import AutoTokenizer  # noqa: F401

    from verlaunch.inputs.data.build import Settings
    from verlaunch.inputs.data.prepare import prepare
    from verlaunch.inputs.data.sources import sources

    watch = Watch()
    made = prepare(
        Settings(sources(str(rows)), (), model, LIMIT, HELD_OUT, seed=0),
        out,
    )
    return watch.done(made.train_rows, made.val_rows)


def datasets_map(rows: Path, model: str, out: Path) -> Work:
    os.environ["HF_HUB_OFFLINE"] = "1"
    import datasets
    import numpy as np
    from transformers import AutoTokenizer

    datasets.disable_progress_bars()
    watch = Watch()
    prepared = partial(_prepared, AutoTokenizer.from_pretrained(model))
    seen: set[bytes] = set()

    def kept(batch: dict[str, list[Any]]) -> list[bool]:
        return [
            tokens <= LIMIT and _new(prompt[0]["content"], seen)
            for tokens, prompt in zip(batch["tokens"], batch["prompt"], strict=True)
        ]

    cache = str(out / "cache")
    given = datasets.load_dataset("json", data_files=str(rows), split="train", cache_dir=cache)
    mapped = given.map(prepared, batched=True, with_indices=True, remove_columns=given.column_names)
    usable = mapped.filter(kept, batched=True).remove_columns("tokens")
    held_out = np.random.default_rng(0).choice(len(usable), HELD_OUT, replace=False)
    rest = np.setdiff1d(np.arange(len(usable)), held_out)
    val, train = usable.select(held_out), usable.select(rest)
    train.to_parquet(str(out / "train.parquet"))
    val.to_parquet(str(out / "val.parquet"))
    return watch.done(len(train), len(val))


def _prepared(
    tokenizer: Any, batch: dict[str, list[Any]], numbers: list[int]
) -> dict[str, list[Any]]:
    prompts = [[{"role": "user", "content": text}] for text in batch["prompt"]]
    texts = tokenizer.apply_chat_template(prompts, add_generation_prompt=True, tokenize=False)
    ids = tokenizer(texts, add_special_tokens=False, return_attention_mask=False)["input_ids"]
    truths = batch["ground_truth"]
    others = zip(numbers, batch["id"], batch["level"], batch["weight"], strict=True)
    return {
        "data_source": batch["data_source"],
        "prompt": prompts,
        "reward_model": [{"style": "rule", "ground_truth": truth} for truth in truths],
        "extra_info": [
            {"index": at, "split": "train", "id": number, "level": level, "weight": weight}
            for at, number, level, weight in others
        ],
        "tokens": [len(each) for each in ids],
    }


def _new(prompt: str, seen: set[bytes]) -> bool:
    digest = hashlib.blake2b(prompt.encode(), digest_size=16).digest()
    fresh = digest not in seen
    seen.add(digest)
    return fresh


CONTESTANTS = {"ours": ours, "datasets.map": datasets_map}


class Run(NamedTuple):
    work: Work
    used: Usage


def run(name: str, rows: Path, model: str, before: list[str]) -> Run:
    with tempfile.TemporaryDirectory(prefix="bench-data-") as folder:
        words = [__file__, "--contestant", name, "--input", rows, "--model", model, "--out", folder]
        report = Path(folder) / "report.json"
        with report.open("w") as to:
            used = child([*before, sys.executable, *map(str, words)], stdout=to)
        if used.code:
            raise SystemExit(f"{name} ended with {used.code}")
        work = Work(**json.loads(report.read_text()))
    return Run(work, used)


def measured(count: int, args: argparse.Namespace) -> list[list[Cell]]:
    seed, model, before = args.seed, args.model, shlex.split(args.before)
    with tempfile.TemporaryDirectory(prefix="bench-data-") as folder:
        file = Path(folder) / "rows.jsonl"
        write_rows(file, count, seed)
        if model is None:
            model = str(Path(folder) / "tokenizer")
            make_tokenizer(Path(model), seed)
        runs_of = {name: partial(run, name, file, model, before) for name in args.only}
        found = in_turn(runs_of, args.rounds)
    kept = {(each.work.train_rows, each.work.val_rows) for runs in found.values() for each in runs}
    if len(kept) > 1:
        raise SystemExit(f"the contestants kept different rows: {sorted(kept)}")
    theirs = [each.work.seconds for each in found.get("datasets.map", ())]
    return [line(count, name, runs, theirs) for name, runs in found.items()]


def line(count: int, name: str, runs: list[Run], theirs: list[float]) -> list[Cell]:
    def mib(values: Iterator[int]) -> int:
        return round(median(list(values)) / MIB)

    seconds = [each.work.seconds for each in runs]
    ratios = [their / our for their, our in zip(theirs, seconds, strict=False)]
    return [
        name,
        count,
        runs[0].work.train_rows,
        round(median(seconds), 3),
        round(median([each.work.cpu_s for each in runs]), 3),
        round(count / median(seconds)),
        round(median(ratios), 3) if ratios else None,
        mib(each.used.rss for each in runs),
        mib(each.used.pss for each in runs),
        mib(each.used.uss - each.work.start_uss for each in runs),
    ]


HEADINGS = ("name", "rows", "kept", "s", "CPU s", "rows/s", "x datasets.map", "peak RSS MiB",
            "peak PSS MiB", "USS growth MiB")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default="10000,100000", help="sizes, with commas between")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--before", default="", help="words before a run, such as: taskset -c 0")
    parser.add_argument("--only", choices=CONTESTANTS, action="append", help="one of the two")
    parser.add_argument("--model", help="folder with a tokenizer (default: one made here)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    for hidden in ("--contestant", "--input", "--out"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.contestant:
        work = CONTESTANTS[args.contestant](Path(args.input), args.model, Path(args.out))
        print(json.dumps(asdict(work)))
        return
    args.only = args.only or list(CONTESTANTS)
    print(machine())
    sizes = [int(size) for size in args.rows.split(",")]
    lines = [each for n in sizes for each in measured(n, args)]
    table = Table(HEADINGS, lines)
    print(table.text())
    write_json(args.json, table, versions=versions("datasets", "pyarrow", "transformers"))


if __name__ == "__main__":
    main()
