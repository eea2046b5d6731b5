"""What the step bench asks of a rival, and what a rival answers.

    {"name": "plain", "settings": {...}, "versions": {"torch": "2.13.0+cpu", ...},
     "step_s": [0.31, 0.21], "parts_s": {"generate": [...], "forward": [...], "update": [...]},
     "first_step_s": 5.2, "reward": [0.48, 0.53], "responses_mean_tokens": [2.6, 2.5]}

Every list has one number per step, every number of seconds is of the wall clock, and the first
step counts from the start of the process, imports included. The settings are those of the CPU
demo where the two speak of the same thing. Left out: memory and processes, which step.py measures
from outside, in the same way for every contestant.
"""

import argparse
import json
import math
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

PARTS = ("generate", "forward", "update")
Row = dict[str, Any]


@dataclass
class Record:
    name: str
    settings: dict[str, Any]
    versions: dict[str, str]
    step_s: list[float] = field(default_factory=list)
    parts_s: dict[str, list[float]] = field(default_factory=lambda: {part: [] for part in PARTS})
    first_step_s: float = 0.0
    reward: list[float] = field(default_factory=list)
    responses_mean_tokens: list[float] = field(default_factory=list)

    def add(
        self, step_s: float, parts_s: Mapping[str, float], reward: float, tokens: float
    ) -> None:
        """One step, at its end."""
        if not self.step_s:
            self.first_step_s = time.time() - psutil.Process().create_time()
        self.step_s.append(step_s)
        for part in PARTS:
            self.parts_s[part].append(parts_s[part])
        self.reward.append(reward)
        self.responses_mean_tokens.append(tokens)
        if self.settings.get("json"):  # at every step: one that is stopped leaves what it did
            Path(self.settings["json"]).write_text(json.dumps(vars(self), indent=1))


class Clock:
    """Seconds by part of one step."""

    def __init__(self) -> None:
        self.parts_s = dict.fromkeys(PARTS, 0.0)
        self.began = time.perf_counter()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.parts_s[name] += time.perf_counter() - began

    def step_s(self) -> float:
        return time.perf_counter() - self.began


def begin(name: str, args: argparse.Namespace, packages: tuple[str, ...]) -> Record:
    given = sorted(vars(args).items())
    settings = {key: str(value) if isinstance(value, Path) else value for key, value in given}
    versions = {"python": platform.python_version(), **{p: version(p) for p in packages}}
    return Record(name, settings, versions)


def parser_of(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--model", type=Path, required=True, help="a Hugging Face folder")
    parser.add_argument("--data", type=Path, required=True, help="JSON: prompt, ground_truth")
    parser.add_argument("--prompts", type=int, default=128, help="per step")
    parser.add_argument("--response_tokens", type=int, default=8, help="longest answer")
    parser.add_argument("--exact", action="store_true", help="no answer ends before the longest")
    parser.add_argument("--steps", type=int, default=12)
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--threads", type=int, default=cores, help="default: all cores")
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--critic_lr", type=float, default=1e-3)
    parser.add_argument("--kl", type=float, default=0.001, help="coefficient, in the reward")
    parser.add_argument("--lam", type=float, default=0.95)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="where the answer goes")
    return parser


def check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Ends the program with one message when it cannot train with these."""
    for name in ("prompts", "response_tokens", "steps", "threads"):
        if getattr(args, name) < 1:
            parser.error(f"--{name} is {getattr(args, name)}; at least 1 is needed")
    if not (args.model / "config.json").is_file():
        parser.error(
            f"--model {args.model} is no Hugging Face folder (no config.json); make one: "
            f"scripts/gpu_check/models.py {args.model} --size 10M"
        )
    if not args.data.is_file():
        parser.error(
            f'--data {args.data} is missing; rows: [{{"prompt": "1+2=", "ground_truth": "3"}}]'
        )


def read_rows(file: Path, least: int) -> list[Row]:
    """The rows, repeated until a batch of this many can be drawn."""
    rows: list[Row] = json.loads(file.read_text())
    if not rows:
        raise SystemExit(f"{file} has no rows")
    return rows * math.ceil(least / len(rows))


def cosine(steps: int) -> Callable[[int], float]:
    """The factor on the learning rate after so many steps; 0 after the last."""
    return lambda step: 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))
