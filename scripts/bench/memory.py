#!/usr/bin/env python3
"""Predicted against measured memory: what the plan says a run takes, and what runs take.

    .venv/bin/python scripts/bench/memory.py --sizes 0.4M,10M --ranks 1,2 --json memory.json
    .venv/bin/python scripts/bench/memory.py --hardware gpu --sizes 0.5B

For each size it makes a random Qwen2 on the spot, asks the launcher's own plan for its prediction,
runs the launcher for some steps, and samples memory all along: of the run's processes (PSS), or of
the fullest card. Prompts are as long as allowed and responses do not end early, so that a run is
the worst case that a plan has to foresee. On the CPU expect ratios of 0.98 to 1.02 (2 cores, 0.4M
to 100M, one and two ranks, seen 2026-11-21); a run takes 2 to 4 minutes. Left out on purpose:
learning; the weights are random and the reward is of no interest.
"""

import argparse
import math
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from contest import Cell, Table, machine, write_json
from gpu_check import words
from gpu_check.check import Check, Failure
from gpu_check.memory_seen import Sampler, cards_used, of_processes, taken
from gpu_check.models import write_model, write_rows
from gpu_check.runs import launched, planned_memory
from gpu_check.sizes import CPU, GPU, SIZES

from verlaunch.record.channel import EVENTS, Tail
from verlaunch.text import MIB

# Words in a process's command line -> its role; the first that fits.
ROLES = (
    ("training worker", ("WorkerDict", "ActorRollout", "ray::Training")),
    ("vLLM", ("ray::Server", "VLLM", "EngineCore")),
    ("trainer", ("ray::Runner",)),
    ("rollout worker", ("RolloutShell",)),
    ("reward", ("RewardActor",)),
    ("launcher", ("verlaunch.machine.guardian", "verlaunch.engine.processes.driver", "-m verl")),
    ("Ray", ("ray",)),
)
# The record's phases, and the estimate's, by the name that both have in the table.
NAMES = {
    "starting ray": "start",
    "loading models": "start",
    "ready": "start",
    "rollout": "generation",
    "validation": "generation",
    "log-probs": "update",
    "critic update": "update",
    "actor update": "update",
    "weight sync": "update",
    "export": "checkpoint",
}
HEADINGS = ("model x ranks", "what", "predicted MiB", "measured MiB", "ratio")
Sizes = dict[str, int]  # bytes by role, card or part


@dataclass(frozen=True)
class Result:
    """predicted, measured: bytes by phase. parts, roles: at each one's peak."""

    model: str
    ranks: int
    predicted: Sizes
    measured: Sizes
    parts: Sizes
    roles: Sizes


def role_of(command: str) -> str:
    return next((role for role, words in ROLES if any(w in command for w in words)), "rest")


def by_role(root: int) -> Sizes:
    found = Counter[str]()
    for (_, command), size in of_processes(root).items():
        found[role_of(command)] += size
    return dict(found)


def seen(hardware: str, root: int, before: dict[int, int]) -> Sizes:
    """By role of a process, or of the card that the run has most of."""
    return by_role(root) if hardware == "cpu" else {"GPU": taken(hardware, root, before)}


def phase_at(events: Sequence[dict[str, Any]], moment: float) -> str:
    begun = [e["phase"] for e in events if e.get("event") == "phase" and e["time"] <= moment]
    last = begun[-1] if begun else "starting ray"
    return NAMES.get(last, last)


def peaks(samples: Iterable[tuple[str, int]]) -> Sizes:
    """The most per phase, of pairs (phase, bytes), in the order in which phases came."""
    found: Sizes = {}
    for phase, size in samples:
        found[phase] = max(size, found.get(phase, 0))
    return found


def check_of(args: argparse.Namespace, folder: Path) -> Check:
    """As a check of the GPU has it, with these models and sizes, and without an end."""
    wide = args.hardware == "gpu"
    profile = replace(GPU if wide else CPU, shapes=SIZES, prompts=args.batch)
    return Check(profile, folder, math.inf)


def words_of(args: argparse.Namespace, check: Check, size: str, ranks: int) -> list[str]:
    lengths = args.prompt, args.response
    typed = words.common(check, size, *lengths, steps=str(args.steps), gpus=ranks)
    return [*typed, "--temperature", "1.0", *args.overrides]


def measure(args: argparse.Namespace, check: Check, size: str, ranks: int) -> Result:
    model = words.model_folder(check, size)
    if not model.exists():
        write_model(model, SIZES[size], check.profile.dtype)
    write_rows(words.rows_file(check, args.prompt), args.prompt, 4 * args.batch)
    name, typed = f"{size}-{ranks}", words_of(args, check, size, ranks)
    phases = planned_memory(check, name, typed)
    before = cards_used()
    with (
        launched(check, name, typed) as run,
        Sampler(lambda: seen(args.hardware, run.process.pid, before)) as sampler,
    ):
        run.finish()
    events = list(Tail(check.run_folder(name) / EVENTS).new())
    worst = max(phases, key=lambda phase: phase["bytes"])
    return Result(
        model=size,
        ranks=ranks,
        predicted=peaks((NAMES.get(p["phase"], p["phase"]), p["bytes"]) for p in phases),
        measured=peaks((phase_at(events, at), sum(s.values())) for at, s in sampler.samples),
        parts={part["name"]: part["bytes"] for part in worst["parts"]},
        roles=max((sizes for _, sizes in sampler.samples), key=lambda sizes: sum(sizes.values())),
    )


def lines_of(result: Result) -> list[list[Cell]]:
    """The run, then its phases; parts and roles have no counterpart on the other side."""

    def line(what: str, plan: int | None, seen: int | None) -> list[Cell]:
        ratio = round(plan / seen, 2) if plan and seen else None
        mib = [None if size is None else round(size / MIB) for size in (plan, seen)]
        return [f"{result.model} x {result.ranks}", what, *mib, ratio]

    phases = dict.fromkeys([*result.measured, *result.predicted])
    return [
        line("all", max(result.predicted.values()), max(result.measured.values())),
        *(line(p, result.predicted.get(p), result.measured.get(p)) for p in phases),
        *(line(f"part: {name}", size, None) for name, size in result.parts.items()),
        *(line(f"role: {name}", None, size) for name, size in result.roles.items()),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default=None, help=f"of {', '.join(SIZES)}")
    parser.add_argument("--ranks", default="1", help="training processes or GPUs: 1,2")
    parser.add_argument("--hardware", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--batch", type=int, default=16, help="prompts per step")
    parser.add_argument("--prompt", type=int, default=64, help="tokens")
    parser.add_argument("--response", type=int, default=64, help="tokens")
    parser.add_argument("--json", type=Path)
    parser.add_argument("overrides", nargs="*", help="key=value for every run")
    args = parser.parse_args()
    sizes = args.sizes or ("0.5B,1.5B" if args.hardware == "gpu" else "0.4M,3M,10M,30M,100M")
    check = check_of(args, Path(tempfile.mkdtemp(prefix="bench-memory-")))
    print(f"{machine()}; {check.folder}")
    lines: list[list[Cell]] = []
    for ranks in map(int, args.ranks.split(",")):
        for size in sizes.split(","):
            try:
                lines += lines_of(measure(args, check, size, ranks))
            except Failure as why:
                raise SystemExit(f"{size} x {ranks}: {why}") from None
            table = Table(HEADINGS, lines)
            print(table.text(), flush=True)
            write_json(args.json, table)


if __name__ == "__main__":
    main()
