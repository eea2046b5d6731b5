#!/usr/bin/env python3
"""How long the launcher takes to answer, and where the time to the first step goes.

    .venv/bin/python scripts/bench/launcher.py --demo --json launcher.json

answers: `--version`, `--help`, a flag with a typo, and `--dry_run` of the CPU demo, each in a fresh
process, in turns with an empty Python program and one that only imports torch. The round before
the first is not counted: it makes the demo's model and warms the disk's cache. start: with --demo,
one run of the CPU demo of two steps, cut by the phases in its logs/events.jsonl; "launcher" is all
before Ray is started, "first rollout" and "first update" are those of step 1.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import contest
from contest import Cell, Table, in_turn, machine, median, versions, write_json

from verlaunch.record.channel import EVENTS, Tail

LAUNCHER = ("-m", "verlaunch")
EMPTY, TORCH = "empty", "torch"
ANSWERS: dict[str, tuple[int, tuple[str, ...]]] = {  # name: exit code, words after python
    EMPTY: (0, ("-c", "pass")),
    TORCH: (0, ("-c", "import torch")),
    "version": (0, (*LAUNCHER, "--version")),
    "help": (0, (*LAUNCHER, "--help")),
    "typo": (2, (*LAUNCHER, "--btach_size", "4")),
    "dry_run": (0, (*LAUNCHER, "--dry_run", "--hardware", "cpu")),
}
BEGIN, END = "launcher", "first step done"
NAMES = {"rollout": "first rollout", "update": "first update"}


def answered(code: int, words: tuple[str, ...], folder: Path) -> float:
    """Seconds from start to end."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=contest.environment(),
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - began
    if done.returncode != code:
        raise SystemExit(f"{' '.join(words)} ended with {done.returncode}: {done.stderr[-500:]}")
    return seconds


def answers(rounds: int, names: list[str]) -> Table:
    with tempfile.TemporaryDirectory(prefix="bench-launcher-") as folder:
        runs: dict[str, Callable[[], float]] = {
            name: partial(answered, code, words, Path(folder))
            for name, (code, words) in ANSWERS.items()
            if name in names
        }
        in_turn(runs, 1)
        found = in_turn(runs, rounds)
    rows = [[name, round(median(each), 3), *ratios(each, found)] for name, each in found.items()]
    return Table(("program", "s", "x empty", "x torch"), rows)


def ratios(seconds: list[float], found: dict[str, list[float]]) -> list[Cell]:
    """The median over the rounds, each against the same round of the others."""
    return [
        round(median([ours / its for ours, its in zip(seconds, found[name], strict=True)]), 2)
        if name in found
        else None
        for name in (EMPTY, TORCH)
    ]


def started(steps: int) -> Table:
    """The demo's own record of when each phase began."""
    with contest.demo("--steps", str(steps)) as run:
        marks = phases(run.began, list(Tail(run.out / EVENTS).new()))
    return Table(("phase", "s", "from the start"), spans(marks))


def phases(began: float, events: list[dict[str, Any]]) -> list[tuple[str, float]]:
    """(phase, when it began) in order, up to the end of the first step."""
    marks = [(BEGIN, began)]
    for event in events:
        step = event.get("step")
        if event["event"] == "metrics" and step == 1:
            return [*marks, (END, event["time"])]
        if event["event"] == "phase":
            name = event["phase"]
            marks.append((NAMES.get(name, name) if step == 1 else name, event["time"]))
    raise SystemExit("the record has no first step")


def spans(marks: list[tuple[str, float]]) -> list[list[Cell]]:
    began = marks[0][1]
    return [
        [name, round(end - start, 2), round(end - began, 2)]
        for (name, start), (_, end) in pairwise(marks)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="+", default=list(ANSWERS), choices=list(ANSWERS))
    parser.add_argument("--demo", action="store_true", help="run the CPU demo as well")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    print(machine())
    table = answers(args.rounds, args.only)
    print(table.text())
    start = started(2) if args.demo else None
    if start:
        print(start.text())
    facts: dict[str, Any] = {"start": start.records()} if start else {}
    write_json(args.json, table, versions=versions("hydra-core", "torch", "verl"), **facts)


if __name__ == "__main__":
    main()
