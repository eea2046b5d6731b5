"""What every contest here shares: the machine, turns, child processes watched, a table, JSON.

    runs = in_turn({"ours": run_ours, "theirs": run_theirs}, rounds=3)
    table = Table(("name", "s"), [(name, median(found)) for name, found in runs.items()])
    print(table.text())
    write_json(Path("out.json"), table, seed=0)

Contestants take turns and each round begins with another one, so that a machine that slows down
slows all of them. Left out on purpose: any judgement; nothing here asserts on time.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]
from gpu_check.memory_seen import Sampler, tree  # noqa: E402

from verlaunch.machine import nvidia, packages  # noqa: E402
from verlaunch.text import GIB  # noqa: E402

SAMPLE_S = 0.1
Found = TypeVar("Found")
Cell = str | int | float | None


def machine() -> str:
    """ "2 cores AMD EPYC, 24 GiB, no GPU": what a figure has to be read beside."""
    cores = len(os.sched_getaffinity(0))
    memory = f"{psutil.virtual_memory().total / GIB:.0f} GiB"
    cards = nvidia.look().cards
    gpus = f"{len(cards)} x {cards[0].name}" if cards else "no GPU"
    return ", ".join((f"{cores} cores {_processor()}", memory, gpus))


def environment() -> dict[str, str]:
    """Ours, in which this checkout is found from any folder."""
    path = filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def versions(*names: str) -> dict[str, str]:
    """Of those that are installed here."""
    return {"python": platform.python_version(), **packages.versions(names)}


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def in_turn(contestants: Mapping[str, Callable[[], Found]], rounds: int) -> dict[str, list[Found]]:
    """Calls each of them once per round; who begins moves on by one from round to round."""
    names = list(contestants)
    found: dict[str, list[Found]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            found[name].append(contestants[name]())
    return found


@dataclass(frozen=True)
class Usage:
    """Of a process and all below it. rss counts shared pages once per process, pss once in all,
    uss not at all; each is the highest sum seen, sampled."""

    code: int
    seconds: float  # from start to end
    rss: int
    pss: int
    uss: int
    processes: int


@dataclass(frozen=True)
class Demo:
    """began: time.time() at the start of the command."""

    out: Path
    began: float
    used: Usage


class Meter(Sampler[tuple[int, ...]]):
    """Of a process and all below it: rss, pss, uss and how many they are."""

    def __init__(self, pid: int, every_s: float) -> None:
        super().__init__(lambda: self._sums(pid), every_s)

    @staticmethod
    def _sums(pid: int) -> tuple[int, ...]:
        found = [(memory.rss, memory.pss, memory.uss, 1) for _, _, memory in tree(pid)]
        return tuple(sum(column) for column in zip((0, 0, 0, 0), *found, strict=True))

    def peaks(self) -> list[int]:
        return [max(column) for column in zip(*(sums for _, sums in self.samples), strict=True)]


def child(command: Sequence[str], every_s: float = SAMPLE_S, **options: Any) -> Usage:
    """Runs a command to its end and watches it. options: for Popen (env, stdout, cwd).

    A sample of a process with gigabytes takes milliseconds: with many, choose a longer `every_s`.
    """
    began = time.perf_counter()
    process = subprocess.Popen(command, **options)
    with Meter(process.pid, every_s) as meter:
        code = process.wait()
        seconds = time.perf_counter() - began
    return Usage(code, seconds, *meter.peaks())


@contextmanager
def demo(*words: str, before: Sequence[str] = (), every_s: float = 60.0) -> Iterator[Demo]:
    """Runs the CPU demo in a folder that goes afterwards; `every_s`: as for `child`."""
    with tempfile.TemporaryDirectory(prefix="bench-demo-") as name:
        log, out = Path(name) / "log", Path(name) / "outputs"
        settings = ["--hardware", "cpu", "--recipe", "cpu_demo", "verlaunch.export=false", *words]
        command = [*before, sys.executable, "-m", "verlaunch", *settings, "--output_dir", str(out)]
        began = time.time()
        with log.open("w") as to:
            used = child(command, every_s, cwd=name, env=environment(), stdout=to, stderr=to)
        if used.code:
            raise SystemExit(f"the demo ended with {used.code}: {log.read_text()[-2000:]}")
        yield Demo(out, began, used)


@dataclass(frozen=True)
class Table:
    """Headings and rows of plain values; a number is shown with three digits that count."""

    headings: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]

    def text(self) -> str:
        """For a terminal: the first column to the left, the others to the right."""
        lines = [self.headings, *([_shown(cell) for cell in row] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(_line(line, widths) for line in lines)

    def records(self) -> list[dict[str, Cell]]:
        return [dict(zip(self.headings, row, strict=True)) for row in self.rows]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [f"{cell:>{width}}" for cell, width in zip(cells[1:], widths[1:], strict=True)]
    return "  ".join([f"{cells[0]:{widths[0]}}", *padded]).rstrip()


def _shown(cell: Cell) -> str:
    if cell is None:
        return "-"
    if not isinstance(cell, float):
        return f"{cell}"
    return f"{cell:,.0f}" if abs(cell) >= 100 else f"{cell:.3g}"


def write_json(path: Path | None, table: Table, **facts: Any) -> None:
    """machine, date, command, `facts` and the table's rows; nothing when `path` is None."""
    if path is None:
        return
    found = {
        "machine": machine(),
        "date": time.strftime("%Y-%m-%d"),
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        **facts,
        "rows": table.records(),
    }
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
