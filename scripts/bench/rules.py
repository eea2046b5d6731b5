#!/usr/bin/env python3
"""Scores per second of every built-in rule, beside plain string equality in the same run.

    .venv/bin/python scripts/bench/rules.py --rows 20000 --json rules.json

The responses are generated: some 150 words of steps and a final answer, half of them right. Every
rule scores the rows of its kind one after the other in one process, as a reward worker does. "math,
formulas" asks Math-Verify about each row, from a pool of processes, with 16 rows in flight; its
rows are all different, so that nothing is answered from memory. `code` is left out: it measures
programs, not us.
"""

import argparse
import asyncio
import inspect
import json
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rewards.registry import rule_for

FORMULA_ROWS = 500  # they take milliseconds each
IN_FLIGHT = 16
SENTENCE = "first then we add the number of apples to what is left and divide by two so that"
WORDS = SENTENCE.split()
SCHEMA = {"type": "object", "required": ["answer"]}
Given = tuple[str, Any, dict[str, Any] | None]  # response, ground truth, extra_info


@dataclass
class Result:
    rule: str
    rows: int
    rows_per_s: float
    us_per_row: float
    times_equality: float  # how many comparisons of strings one score costs
    mean: float


def steps(rng: random.Random) -> str:
    lines = (" ".join(rng.choices(WORDS, k=14)) + f" {rng.randrange(100)}." for _ in range(10))
    return "\n".join(lines)


def numbers(rng: random.Random) -> Given:
    truth = rng.randrange(10_000)
    return f"{steps(rng)}\n#### {truth + rng.randrange(2)}", str(truth), None


def formulas(rng: random.Random) -> Given:
    a, b, c = rng.randrange(2, 99), rng.randrange(2, 999), rng.randrange(2)
    return f"{steps(rng)}\n\\boxed{{{b} + {c} + {a}x}}", f"{a}x+{b}", None


def letters(rng: random.Random) -> Given:
    options = {"choices": [f"{word} {n}" for n, word in enumerate(WORDS[:4])]}
    return f"{steps(rng)}\nThe answer is ({rng.choice('AB')}).", "B", options


def texts(rng: random.Random) -> Given:
    return f"{steps(rng)}\n<answer>{rng.choice(WORDS)}</answer>", WORDS[:8], None


def tags(rng: random.Random) -> Given:
    end = rng.choice(("", "."))
    return f"<think>{steps(rng)}</think><answer>42</answer>{end}", "", None


def objects(rng: random.Random) -> Given:
    answer = json.dumps({rng.choice(("answer", "result")): steps(rng)})
    return f"Here:\n```json\n{answer}\n```", "", {"json_schema": SCHEMA}


CASES: dict[str, tuple[str, Callable[[random.Random], Given]]] = {
    "math, numbers": ("math_reasoning", numbers),
    "math, formulas": ("math_reasoning", formulas),
    "choice": ("multiple_choice", letters),
    "qa": ("qa", texts),
    "format": ("format", tags),
    "json": ("json", objects),
    "length": ("length", numbers),
    "repetition": ("repetition", numbers),
}


def equal(_source: str, response: str, truth: str, _extra: Any) -> dict[str, float]:
    return {"score": float(response == truth)}


async def one(rule: Callable, source: str, given: Given) -> float:
    found: dict[str, float] | Awaitable[dict[str, float]] = rule(source, *given)
    scores = await found if inspect.isawaitable(found) else found
    return scores["score"]


async def in_flight(rule: Callable, source: str, rows: list[Given]) -> list[float]:
    turns = asyncio.Semaphore(IN_FLIGHT)

    async def in_turn(given: Given) -> float:
        async with turns:
            return await one(rule, source, given)

    return await asyncio.gather(*[in_turn(given) for given in rows])


async def measured(name: str, rule: Callable, source: str, rows: list[Given]) -> Result:
    await one(rule, source, rows[0])  # imports, compiled patterns, and the pool
    start = time.perf_counter()
    if name == "math, formulas":
        scores = await in_flight(rule, source, rows[1:])
    else:
        scores = [await one(rule, source, given) for given in rows[1:]]
    took = time.perf_counter() - start
    count, mean = len(scores), sum(scores) / len(scores)
    return Result(name, count, round(count / took, 1), took / count * 1e6, 0.0, round(mean, 3))


async def all_of(rows: int, seed: int) -> list[Result]:
    rng = random.Random(seed)
    baseline = [numbers(rng) for _ in range(rows + 1)]
    results = [await measured("string equality", equal, "", baseline)]
    for name, (source, make) in CASES.items():
        count = min(rows, FORMULA_ROWS) if name == "math, formulas" else rows
        given = [make(rng) for _ in range(count + 1)]
        results.append(await measured(name, rule_for(source), source, given))
    for result in results:
        result.times_equality = round(result.us_per_row / results[0].us_per_row, 1)
        result.us_per_row = round(result.us_per_row, 2)
    return results


def show(results: list[Result]) -> None:
    print(f"{'rule':16}{'rows':>8}{'rows/s':>12}{'us/row':>10}{'x equality':>12}{'mean':>7}")
    for r in results:
        print(
            f"{r.rule:16}{r.rows:8d}{r.rows_per_s:12.0f}{r.us_per_row:10.1f}"
            f"{r.times_equality:12.1f}{r.mean:7.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.rows < 1:
        parser.error(f"--rows is {args.rows}; at least 1 is needed")
    results = asyncio.run(all_of(args.rows, args.seed))
    show(results)
    if args.json:
        args.json.write_text(json.dumps([asdict(result) for result in results], indent=1))


if __name__ == "__main__":
    main()
