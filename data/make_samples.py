#!/usr/bin/env python3
"""Makes the sample data beside it: arithmetic in the project's JSON format, the same every time.

    python data/make_samples.py          # writes the three files into this folder

No training prompt is also a validation prompt. The problems are easy on purpose: a 0.5B model
solves a part of them, which is where PPO has something to learn from.
"""

import argparse
import json
import random
from collections.abc import Callable
from pathlib import Path

TRAIN, VAL, CHAT = 500, 64, 20
SEED = 20250501
LABEL = "math_reasoning"
ENDING = "Think step by step, then end with: The answer is <number>."
NAMES = ("Ada", "Ben", "Chen", "Dina", "Emil", "Fatima", "Goran", "Hana")
THINGS = ("apples", "books", "coins", "marbles", "pencils", "stamps", "tickets", "shells")
TUTOR = "You are a patient tutor. Show your steps in short sentences."

Problem = tuple[str, int]


def expression(rng: random.Random) -> Problem:
    a, b, c = rng.randint(2, 99), rng.randint(2, 99), rng.randint(2, 12)
    forms = (
        (f"{a} + {b}", a + b),
        (f"{a + b} - {b}", a),
        (f"{b} * {c}", b * c),
        (f"{b * c} / {c}", b),
        (f"({a} + {b}) * {c}", (a + b) * c),
        (f"{a} + {b} * {c}", a + b * c),
    )
    text, value = rng.choice(forms)
    return f"What is {text}?", value


def bought(rng: random.Random) -> Problem:
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    had, packs, each = rng.randint(3, 60), rng.randint(2, 9), rng.randint(3, 15)
    text = f"{name} has {had} {thing} and buys {packs} packs of {each} {thing} each."
    return f"{text} How many {thing} does {name} have now?", had + packs * each


def gave(rng: random.Random) -> Problem:
    name, friend = rng.sample(NAMES, 2)
    thing, given, left = rng.choice(THINGS), rng.randint(2, 40), rng.randint(1, 50)
    text = f"{name} has {given + left} {thing} and gives {given} of them to {friend}."
    return f"{text} How many {thing} are left?", left


def shared(rng: random.Random) -> Problem:
    people, each, over = rng.randint(3, 9), rng.randint(4, 20), rng.randint(0, 2)
    thing = rng.choice(THINGS)
    text = (
        f"{people} friends share {people * each + over} {thing} as evenly as whole {thing} allow."
    )
    return f"{text} How many {thing} does every friend get at least?", each


def price(rng: random.Random) -> Problem:
    name, count, cost = rng.choice(NAMES), rng.randint(2, 8), rng.randint(2, 15)
    change = rng.randint(1, 20)
    text = f"{name} buys {count} toys for {cost} dollars each and pays {count * cost + change}"
    return f"{text} dollars. How many dollars of change are due?", change


def walked(rng: random.Random) -> Problem:
    name, speed, hours, more = (rng.choice(NAMES), rng.randint(3, 25), rng.randint(2, 6),
                                rng.randint(1, 30))  # fmt: skip
    text = f"{name} rides {speed} km in each of {hours} hours, then walks {more} km."
    return f"{text} How many km is that in all?", speed * hours + more


MAKERS: tuple[Callable[[random.Random], Problem], ...] = (
    expression, expression, bought, gave, shared, price, walked,
)  # fmt: skip


def problems(count: int) -> list[Problem]:
    """`count` problems with different texts."""
    rng = random.Random(SEED)
    found: dict[str, int] = {}
    while len(found) < count:
        text, value = rng.choice(MAKERS)(rng)
        found.setdefault(text, value)
    return list(found.items())


def row(problem: Problem) -> dict[str, str]:
    text, value = problem
    return {"prompt": f"{text} {ENDING}", "ground_truth": str(value), "data_source": LABEL}


def chat_row(problem: Problem) -> dict[str, object]:
    text, value = problem
    messages = [
        {"role": "system", "content": TUTOR},
        {"role": "user", "content": f"{text} {ENDING}"},
    ]
    return {"prompt": messages, "ground_truth": str(value), "data_source": LABEL}


def write(folder: Path) -> None:
    made = problems(TRAIN + VAL + CHAT)
    train, val, chat = made[:TRAIN], made[TRAIN : TRAIN + VAL], made[TRAIN + VAL :]
    for name, part in (("sample_math.json", train), ("sample_math_val.json", val)):
        rows = ",\n".join(json.dumps(row(problem)) for problem in part)
        (folder / name).write_text(f"[\n{rows}\n]\n", encoding="utf-8")
    lines = "".join(json.dumps(chat_row(problem)) + "\n" for problem in chat)
    (folder / "sample_chat.jsonl").write_text(lines, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent)
    write(parser.parse_args().out)
