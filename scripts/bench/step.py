#!/usr/bin/env python3
"""Seconds per PPO step, seconds to the end of the first one, memory and processes: a contest.

    .venv/bin/python scripts/bench/step.py                                   # the CPU demo's model
    .venv/bin/python scripts/bench/step.py --model 10M --response_tokens 64 --exact --steps 6
    .venv/bin/python scripts/bench/step.py --contestants ours,trl --trl_python ~/env-trl/bin/python

Contestants take turns, on one model, the same rows and sizes, one PPO epoch and one mini batch:

- ours: the launcher, as a user starts it;
- stock: verl's own sync trainer, queue, replay buffer, agent loops, reward manager and process
  counts on the configuration of ours (scripts/gpu_check/stock.py says what it needs on a CPU);
- plain: one process with PyTorch and transformers (plain_ppo.py);
- trl: TRL's last PPO trainer, in an environment of its own (trl_ppo.py says how to make it).

Medians leave out the first step. rss is the sum over all processes, in which shared pages count
once per process; pss counts them once. "outside" is what no part of a step's clock has.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contest import Meter, Table, environment, in_turn, machine, median, versions, write_json
from gpu_check.models import write_model
from gpu_check.runs import read_steps
from gpu_check.sizes import SIZES

from verlaunch.record.channel import METRICS
from verlaunch.text import GIB

BENCH = Path(__file__).resolve().parent
PARTS = ("gen", "old_log_prob", "ref", "values", "adv", "update_critic", "update_actor")
CONTESTANTS = ("ours", "stock", "plain", "trl")
HEADINGS = ("name", "s/step", "best", "end of step 1, s", "rss, GiB", "pss, GiB", "processes")
SAMPLE_S = 0.5
Steps = list[dict[str, Any]]


@dataclass
class Result:
    step_s: float  # median without the first
    best_s: float
    first_step_s: float  # from the start of the command
    parts_s: dict[str, float]  # medians
    rss: int
    pss: int
    processes: int


def timed(found: list[float]) -> tuple[float, float]:
    later = found[1:] or found
    return median(later), min(later)


def watched(command: Sequence[str], log: Path, steps_of: Any, env: dict[str, str]) -> Result:
    """steps_of(): the steps so far, as dicts of verl's timing keys. The end of the first is seen
    within 0.05 s."""
    began, first = time.time(), 0.0
    with log.open("w") as out:
        process = subprocess.Popen(
            command, env=env, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT
        )
        with Meter(process.pid, SAMPLE_S) as meter:
            while process.poll() is None:
                if not first and steps_of():
                    first = time.time() - began
                time.sleep(0.05)
    steps: Steps = steps_of()
    if process.returncode or not steps:
        raise SystemExit(f"{command[-1]} ended with {process.returncode}; see {log}")
    middle, best = timed([step["timing_s/step"] for step in steps])
    names = [name for name in steps[-1] if name.startswith("timing_s/")]
    parts = {name[9:]: timed([s[name] for s in steps if name in s])[0] for name in names}
    parts.pop("step")
    parts["outside"] = middle - sum(parts.values())
    rss, pss, _, processes = meter.peaks()
    return Result(middle, best, first, parts, rss, pss, processes)


class Contest:
    """The contestants on one model; each round writes below `folder`."""

    def __init__(self, args: argparse.Namespace, folder: Path) -> None:
        self.args, self.folder, self.round = args, folder, 0
        self.model = self._model()
        self.rows = folder / "rows.json"
        sums = [(a, b) for a in range(max(10, args.prompts)) for b in range(10)]
        rows = [
            {"prompt": f"{a}+{b}=", "ground_truth": str(a + b), "data_source": "math_reasoning"}
            for a, b in sums
        ]
        self.rows.write_text(json.dumps(rows))

    def _model(self) -> Path:
        name = self.args.model
        if name == "demo":
            from verlaunch.inputs.demo.model import cached_model
            from verlaunch.paths import cache_dir

            return cached_model(cache_dir(), 1, print)
        if Path(name).is_dir():
            return Path(name)
        return write_model(self.folder / f"model-{name}", SIZES[name])

    def _new(self, name: str) -> Path:
        self.round += 1
        return self.folder / f"{name}-{self.round}"

    def ours(self) -> Result:
        folder = self._new("ours")
        log, steps = folder.with_suffix(".log"), lambda: read_steps(folder / METRICS)
        return watched(self.words(folder), log, steps, environment())

    def words(self, folder: Path) -> list[str]:
        args = self.args
        return [
            sys.executable, "-m", "verlaunch", "--hardware", "cpu", "--recipe", "cpu_demo",
            "--model", str(self.model), "--data", str(self.rows),
            "--output_dir", str(folder), "--steps", str(args.steps),
            "--mini_batch_size", str(args.prompts), "--ppo_epochs", "1", "--critic_epochs", "1",
            "--max_response_length", str(args.response_tokens),
            f"data.train_batch_size={args.prompts}", "trainer.test_freq=100000",
            "trainer.save_freq=100000", "verlaunch.export=false",
            f"actor_rollout_ref.rollout.ignore_eos={str(args.exact).lower()}", *args.overrides,
        ]  # fmt: skip

    def stock(self) -> Result:
        """On the configuration of ours, which is composed and checked, and not run."""
        from gpu_check import stock

        folder = self._new("stock")
        planned = folder.with_name(f"{folder.name}-plan")
        with folder.with_suffix(".plan").open("w") as log:
            run = subprocess.Popen(self.words(planned), env=environment(), stdout=log, stderr=log)
            launch = planned / "logs" / "launch.json"
            while not launch.is_file() and run.poll() is None:
                time.sleep(0.1)
            time.sleep(0.5)
            run.terminate()
            run.wait()
        command, added = stock.prepare(launch, folder)
        guardian = [sys.executable, "-m", "verlaunch.machine.guardian", "/tmp/verlaunch-"]
        log, steps = folder.with_suffix(".log"), lambda: read_steps(folder / stock.METRICS)
        return watched([*guardian, *command], log, steps, {**environment(), **added})

    def plain(self) -> Result:
        return self._rival("plain", sys.executable)

    def trl(self) -> Result:
        return self._rival("trl", self.args.trl_python)

    def _rival(self, name: str, python: str) -> Result:
        out, args = self._new(name).with_suffix(".json"), self.args
        words = [
            python, str(BENCH / f"{name}_ppo.py"), "--model", str(self.model),
            "--data", str(self.rows), "--prompts", str(args.prompts),
            "--response_tokens", str(args.response_tokens), "--steps", str(args.steps),
            "--json", str(out), *(["--exact"] if args.exact else []),
        ]  # fmt: skip
        return watched(words, out.with_suffix(".log"), _rival_steps(out), environment())


def _rival_steps(file: Path) -> Any:
    def steps() -> Steps:
        try:
            told = json.loads(file.read_text())
        except (OSError, ValueError):  # not there, or being written
            return []
        columns = {f"timing_s/{part}": values for part, values in told["parts_s"].items()}
        columns["timing_s/step"] = told["step_s"]
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    return steps


def of(results: list[Result], name: str) -> float:
    return median([getattr(result, name) for result in results])


def row(name: str, found: list[Result]) -> tuple[str | float, ...]:
    memory = (of(found, "rss") / GIB, of(found, "pss") / GIB)
    times = (of(found, "step_s"), of(found, "best_s"), of(found, "first_step_s"))
    return (name, *times, *memory, of(found, "processes"))


def ratios(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Of the first contestant to each of the others."""
    first, *others = rows
    divided = [[a / b for a, b in zip(first[1:], other[1:], strict=True)] for other in others]
    return [(f"{first[0]} / {o[0]}", *d) for o, d in zip(others, divided, strict=True)]


def parts_of(found: dict[str, list[Result]]) -> list[str]:
    lines = []
    for name, results in found.items():
        medians = {part: median([r.parts_s[part] for r in results]) for part in results[0].parts_s}
        told = "  ".join(f"{part} {value:.3f}" for part, value in medians.items())
        lines.append(f"{name:6} {told}")
    return lines


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="demo", help="demo, a size of models.py or a folder")
    parser.add_argument("--prompts", type=int, default=128, help="per step")
    parser.add_argument("--response_tokens", type=int, default=8)
    parser.add_argument("--exact", action="store_true", help="no response ends before that")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--contestants", default="ours,stock,plain", help=", ".join(CONTESTANTS))
    parser.add_argument("--trl_python", help="of an environment with TRL")
    parser.add_argument("--json", type=Path)
    parser.add_argument("overrides", nargs="*", help="key=value for ours and stock")
    args = parser.parse_args()
    args.contestants = args.contestants.split(",")
    if unknown := set(args.contestants) - set(CONTESTANTS):
        parser.error(f"--contestants has {sorted(unknown)}; allowed: {', '.join(CONTESTANTS)}")
    if "trl" in args.contestants and not args.trl_python:
        parser.error("trl needs --trl_python; trl_ppo.py says how to make its environment")
    return args


def main() -> None:
    args = parsed()
    folder = Path(tempfile.mkdtemp(prefix="bench-step-"))
    print(f"{machine()}; {folder}", flush=True)
    contest = Contest(args, folder)
    runs = {name: getattr(contest, name) for name in args.contestants}
    found = in_turn(runs, args.rounds)
    rows = [row(name, results) for name, results in found.items()]
    table = Table(HEADINGS, rows)
    print(table.text(), *parts_of(found), sep="\n")
    if len(rows) > 1:
        print(Table(HEADINGS, ratios(rows)).text())
    parts = {name: [result.parts_s for result in results] for name, results in found.items()}
    write_json(args.json, table, parts_s=parts, versions=versions("torch", "verl", "ray"))


if __name__ == "__main__":
    main()
