#!/usr/bin/env python3
"""Scores per second of every built-in rule, beside plain string equality in the same run.

    .venv/bin/python scripts/bench/rules.py --rows 20000 --json rules.json

The responses are generated: some 150 words of steps and a final answer, half of them right. Every
rule scores the rows of its kind one after the other in one process, as a reward worker does. "math,
formulas" asks Math-Verify about each row, from a pool of processes, with 16 rows in flight; its
rows are all different, so that nothing is answered from memory. Rules take turns, with new rows in
each round; the figures are medians of the rounds. `code` is left out: it measures programs, not us.
"""

import argparse
import asyncio
import inspect
import json
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from contest import Cell, Table, in_turn, machine, median, versions, write_json

from rewards.registry import rule_for

FORMULA_ROWS = 500  # they take milliseconds each
IN_FLIGHT = 16
EQUALITY, FORMULAS = "string equality", "math, formulas"
SENTENCE = "first then we add the number of apples to what is left and divide by two so that"
WORDS = SENTENCE.split()
SCHEMA = {"type": "object", "required": ["answer"]}
Given = tuple[str, Any, dict[str, Any] | None]  # response, ground truth, extra_info


@dataclass
class Result:
    rows: int
    us_per_row: float
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
    FORMULAS: ("math_reasoning", formulas),
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
    if name == FORMULAS:
        scores = await in_flight(rule, source, rows[1:])
    else:
        scores = [await one(rule, source, given) for given in rows[1:]]
    took = time.perf_counter() - start
    return Result(len(scores), took / len(scores) * 1e6, sum(scores) / len(scores))


def round_of(name: str, count: int, rng: random.Random) -> Result:
    if name == EQUALITY:
        given = [numbers(rng) for _ in range(count + 1)]
        return asyncio.run(measured(name, equal, "", given))
    source, make = CASES[name]
    given = [
        make(rng) for _ in range(1 + (min(count, FORMULA_ROWS) if name == FORMULAS else count))
    ]
    return asyncio.run(measured(name, rule_for(source), source, given))


def line(name: str, found: list[Result], equality: list[Result]) -> list[Cell]:
    """The ratio is the median of those of the rounds: how many comparisons of strings it costs."""
    us = median([each.us_per_row for each in found])
    pairs = zip(found, equality, strict=True)
    ratio = median([its.us_per_row / plain.us_per_row for its, plain in pairs])
    mean = round(median([each.mean for each in found]), 3)
    return [name, found[0].rows, round(1e6 / us), round(us, 2), round(ratio, 1), mean]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.rows < 1:
        parser.error(f"--rows is {args.rows}; at least 1 is needed")
    print(machine())
    rng = random.Random(args.seed)
    rules = {name: partial(round_of, name, args.rows, rng) for name in (EQUALITY, *CASES)}
    found = in_turn(rules, args.rounds)
    table = Table(
        ("rule", "rows", "rows/s", "us/row", "x equality", "mean score"),
        [line(name, each, found[EQUALITY]) for name, each in found.items()],
    )
    print(table.text())
    write_json(args.json, table, versions=versions("math-verify", "sympy", "jsonschema"))


if __name__ == "__main__":
    main()
