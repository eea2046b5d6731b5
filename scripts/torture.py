#!/usr/bin/env python3
"""Kills a run again and again, at random, and proves that nothing is lost.

    .venv/bin/python scripts/torture.py --kills 20 --seed 1

The CPU demo runs once undisturbed. Then it runs in a folder of its own while one of its processes
is killed (SIGKILL) at a random moment of a phase, and the same command is given again, until it
completes; with kills left, in one more folder. Then the record must say the same: the rows of the
data that each step was trained on, the steps and their metrics, the last checkpoint. And nothing
may be left: no process, lock, temporary folder or shared memory. Exit code 1 on a difference.

Left out on purpose: hung processes (a watchdog's business) and machines that lose power.
"""

import argparse
import fcntl
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "bench"))
from contest import Table  # it finds the checkout

from verlaunch.machine import leftovers, processes
from verlaunch.record.channel import EVENTS, METRICS, ROWS, Tail
from verlaunch.record.checkpoints.search import latest

# A batch smaller than the demo's 100 rows, so that their order matters.
SIZES = ["--batch_size", "32", "--mini_batch_size", "16"]
SETTINGS = [*SIZES, "--save_freq", "2", "--test_freq", "8"]
# Processes by a word of their command line; the first that fits counts.
KINDS = {
    "guardian": "verlaunch.machine.guardian",
    "driver": "verlaunch.engine.fork.zygote",  # of which it is a fork
    "trainer": "ray::Runner",
    "training worker": "ray::WorkerDict",
    "rollout worker": "ray::RolloutShell",
    "vLLM server": "ray::Server",
    "raylet": "raylet/raylet",
    "gcs_server": "gcs_server",
}
LAUNCHER, BOTH = "launcher", "launcher and guardian"
# How often each phase is hit, of 20 kills; a start costs as much time as all the rest.
PHASES = {"start": 3, "validation": 2, "rollout": 5, "update": 6, "checkpoint": 3, "export": 1}
START_S, LATER_S = 25.0, 1.5  # kills come this long after the beginning of a phase, at the most
ENDS_WITHIN_S = 90.0  # Ray's agents look a minute for a cluster that is dead
LONGEST_S = 900.0  # of one attempt, on a slow machine
CONTINUES = ("actor/reward_kl_penalty_coeff", "actor/kl_coef")  # must be there, and finite


@dataclass
class Kill:
    phase: str
    what: str
    step: int = 0  # the last one that was trained before
    ended_s: float = math.nan  # from the kill to the end of the last process
    resumed: int | None = None
    code: int | None = None
    folder: str = ""


class Attempt:
    """One start of the same command."""

    def __init__(self, folder: Path, steps: int) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.events = Tail(folder / EVENTS, from_end=True)
        self.began = time.monotonic()
        with (folder / "screen.txt").open("a") as out:
            words = ["--output_dir", str(folder), "--steps", str(steps), *SETTINGS]
            self.launcher = subprocess.Popen(
                [sys.executable, "-m", "verlaunch", *words],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def reach(self, phase: str, times: int) -> bool:
        """Waits for the phase to begin; False when the run has ended before."""
        if phase == "start":
            return self.launcher.poll() is None
        while self.launcher.poll() is None and time.monotonic() - self.began < LONGEST_S:
            for event in self.events.new():
                times -= event.get("phase") == phase
            if times <= 0:
                return True
            time.sleep(0.01)
        return False

    def alive(self) -> dict[str, int]:
        """Its processes by kind."""
        found = {LAUNCHER: self.launcher.pid} if self.launcher.poll() is None else {}
        for pid in processes.marked(leftovers.MARK, str(self.folder)):
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            kind = next((kind for kind, word in KINDS.items() if word in words), "")
            if kind and not processes.is_dead(pid):
                found.setdefault(kind, pid)
        return found

    def wait_until_gone(self) -> float:
        """Seconds; infinity when it did not end by itself, and is ended now."""
        began = time.monotonic()
        while self.launcher.poll() is None or processes.marked(leftovers.MARK, str(self.folder)):
            if time.monotonic() - began > ENDS_WITHIN_S:
                self.launcher.kill()
                leftovers.end(self.folder)
                return math.inf
            time.sleep(0.05)
        return time.monotonic() - began


def plan(kills: int, dice: random.Random) -> list[tuple[str, str]]:
    """Phases and what to kill in them: every kind before any comes a second time."""
    phases = [phase for phase, count in PHASES.items() for _ in range(count)]
    kinds = [LAUNCHER, BOTH, *KINDS]
    chosen = [(phases, dice.sample(phases, len(phases))), (kinds, dice.sample(kinds, len(kinds)))]
    columns = [[order[i % len(order)] for i in range(kills)] for _, order in chosen]
    return list(zip(*columns, strict=True))


def strike(attempt: Attempt, kill: Kill, dice: random.Random) -> bool:
    """Kills at a random moment of the phase; False when the run completed before."""
    if not attempt.reach(kill.phase, times=dice.randint(1, 2) if kill.phase != "export" else 1):
        return False
    time.sleep(dice.uniform(0, START_S if kill.phase == "start" else LATER_S))
    alive = attempt.alive()
    if LAUNCHER not in alive:
        return False
    if kill.what not in alive and kill.what != BOTH:  # not there yet
        kill.what = dice.choice(sorted(alive))
    kill.phase = phase_of(attempt.folder)
    kill.step = max(steps_of(attempt.folder / METRICS), default=0)
    for what in (LAUNCHER, "guardian") if kill.what == BOTH else (kill.what,):
        if what in alive:
            os.kill(alive[what], signal.SIGKILL)
    kill.ended_s = attempt.wait_until_gone()
    kill.code = attempt.launcher.wait()
    return True


def lines_of(path: Path) -> list[dict[str, Any]]:
    return list(Tail(path).new())


def steps_of(path: Path) -> list[int]:
    return [line["step"] for line in lines_of(path)]


def phase_of(folder: Path) -> str:
    """Where the run is now; the phases before the first rollout are all the start."""
    told = [line["phase"] for line in lines_of(folder / EVENTS) if "phase" in line]
    return told[-1] if told and told[-1] in PHASES else "start"


def torture(out: Path, kills: int, steps: int, dice: random.Random) -> Iterator[Kill]:
    """One after the other, in as many folders as it takes; the last run is left to complete."""
    todo = [Kill(phase, what) for phase, what in plan(kills, dice)]
    number = 1
    while True:
        folder = out / f"killed-{number}"
        newest = latest(folder / "checkpoints")
        attempt = Attempt(folder, steps)
        if todo and strike(attempt, todo[0], dice):
            todo[0].folder = folder.name
            todo[0].resumed = newest.step if newest else None
            yield todo.pop(0)
            continue
        if attempt.launcher.wait(LONGEST_S) != 0:
            raise SystemExit(f"an undisturbed end failed; see {folder}/screen.txt")
        if not todo:
            return
        number += 1


def differences(expected: Path, found: Path, steps: int) -> Iterator[str]:
    """Sentences; none when `found` says what `expected` says."""
    rows, others = (
        {line["step"]: line["rows"] for line in lines_of(folder / ROWS)}
        for folder in (expected, found)
    )
    lost = [step for step in rows if rows[step] != others.get(step)]
    if lost:
        yield f"other rows in steps {lost}"
    for file in (ROWS, METRICS):
        if steps_of(found / file) != steps_of(expected / file):
            yield f"{file}: steps {steps_of(found / file)}"
    if steps_of(found / ROWS) != list(range(1, steps + 1)):
        yield "not every step once"
    for key in CONTINUES:
        series = [
            [line.get(key) for line in lines_of(folder / METRICS) if line["step"]]
            for folder in (expected, found)
        ]
        if any(series[0]) and not all(isinstance(value, int | float) for value in series[1]):
            yield f"{key} is not a number in every step"
    last = latest(found / "checkpoints")
    if last is None or last.step != steps:
        yield f"the last checkpoint is {last and last.path}"
    if not (found / "checkpoints" / "final" / "model.safetensors").is_file():
        yield "no final model"


def remains(folder: Path) -> Iterator[str]:
    if alive := processes.marked(leftovers.MARK, str(folder)):
        yield f"left behind: processes {alive}"
    if (folder / leftovers.NOTE).exists():
        yield f"left behind: temporary folders: {(folder / leftovers.NOTE).read_text().split()}"
    if (folder / "logs" / "stop").exists():
        yield "left behind: a request to stop"
    with (folder / "logs" / "lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield "left behind: a lock"


def unmapped_memory() -> set[str]:
    """Files below /dev/shm that no living process uses."""
    files = {processes.SHM + name for name in os.listdir(processes.SHM)}
    return files - processes.shared_memory([int(p) for p in os.listdir("/proc") if p.isdigit()])


def table(kills: list[Kill]) -> str:
    heads = ("kill", "phase", "what", "step", "ended after, s", "exit", "resumed from", "folder")
    rows = [
        (number, k.phase, k.what, k.step, k.ended_s, k.code, k.resumed or "start", k.folder)
        for number, k in enumerate(kills, 1)
    ]
    return Table(heads, rows).text()


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Kill a run at random; prove that nothing is lost."
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=20, help="of a run (default: 20)")
    parser.add_argument("--out", type=Path, default=Path("outputs", "torture"))
    options = parser.parse_args()
    out, steps = options.out.resolve(), options.steps
    if out.exists():
        parser.error(f"{out} exists; name another folder with --out")
    memory = unmapped_memory()
    began = time.monotonic()
    if Attempt(out / "undisturbed", steps).launcher.wait() != 0:
        raise SystemExit(f"the undisturbed run failed; see {out}/undisturbed/screen.txt")
    kills: list[Kill] = []
    for kill in torture(out, options.kills, steps, random.Random(options.seed)):
        kills.append(kill)
        print(table(kills).splitlines()[-1], flush=True)
    wrong = [f"kill {i}: did not end" for i, k in enumerate(kills, 1) if math.isinf(k.ended_s)]
    for folder in sorted(out.glob("killed-*")):
        wrong += [
            f"{folder.name}: {why}" for why in differences(out / "undisturbed", folder, steps)
        ]
        wrong += [f"{folder.name}: {what}" for what in remains(folder)]
    wrong += [f"left behind: {file}" for file in sorted(unmapped_memory() - memory)]
    print(f"\n{table(kills)}\n\n{time.monotonic() - began:.0f} s in all")
    print(
        "\n".join(f"DIFFERENT  {line}" for line in wrong) or "No difference, nothing left behind."
    )
    facts = {"steps": steps, "seed": options.seed, "kills": [asdict(k) for k in kills]}
    (out / "torture.json").write_text(json.dumps({**facts, "wrong": wrong}, indent=1) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
