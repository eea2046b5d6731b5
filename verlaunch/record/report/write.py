"""Writes what a person reads of a run: summary.json, training_metrics.csv, the curves, report.html.

    write(Path("outputs"))      # [], or what could not be written

Each file is whole whenever someone looks at it, and what cannot be made keeps none of the others
from being made. Left out on purpose: when to write (recorder.py).
"""

import csv
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from verlaunch.machine import processes
from verlaunch.machine.disk import replacing
from verlaunch.record.report.history import History, read
from verlaunch.record.report.names import PART, Line, by_name, finite, short
from verlaunch.record.report.summary import summarize

SUMMARY = Path("metrics", "summary.json")
CSV = Path("metrics", "training_metrics.csv")
PICTURE = Path("metrics", "training_curves.png")
PAGE = Path("report.html")
NICENESS = 10  # training comes first
FIRST = ("step", "time", "epoch")  # columns
EPOCH = "training/epoch"


def write_summary(folder: Path, summary: dict[str, Any]) -> None:
    with replacing(folder / SUMMARY) as partial:
        text = json.dumps(summary, indent=1, allow_nan=False, ensure_ascii=False)
        partial.write_text(text + "\n", encoding="utf-8")


def _cells(line: Line) -> dict[str, object]:
    when = finite(line.get("time"))
    utc = "" if when is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when))
    return {**line, **short(line), "time": utc, "epoch": line.get(EPOCH)}


def write_table(history: History) -> None:
    """One row for each step; of a step that was trained again the later one. Columns: step, time,
    epoch, every short name in the order of names.py, the reward's parts, then verl's names as they
    first came; empty where a run does not measure. Validations before the first step have none."""
    parts = [name for line in history.steps for name in short(line) if name.startswith(PART)]
    theirs = [name for line in history.steps for name in line]
    columns = dict.fromkeys([*FIRST, *by_name, *parts, *theirs])
    with (
        replacing(history.folder / CSV) as partial,
        partial.open("w", encoding="utf-8", newline="") as out,
    ):
        table = csv.DictWriter(out, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(map(_cells, history.steps))


def write_picture(history: History) -> None:
    """Nothing before the first step."""
    from verlaunch.record.report.curves import draw

    if history.series:
        with replacing(history.folder / PICTURE) as partial:
            draw(history, partial)


def write_page(history: History, summary: dict[str, Any]) -> None:
    from verlaunch.record.report.page.build import html

    picture = history.folder / PICTURE
    png = picture.read_bytes() if picture.exists() else None
    with replacing(history.folder / PAGE) as partial:
        partial.write_text(html(history, summary, png), encoding="utf-8")


def write(folder: Path) -> list[str]:
    """Returns what went wrong."""
    history = read(folder)
    summary = summarize(history)
    files: dict[Path, Callable[[], object]] = {
        SUMMARY: lambda: write_summary(folder, summary),
        CSV: lambda: write_table(history),
        PICTURE: lambda: write_picture(history),
        PAGE: lambda: write_page(history, summary),
    }
    wrong = []
    for name, make in files.items():
        try:
            make()
        except Exception as error:  # a report is never worth a run
            wrong.append(f"{folder / name} could not be written: {type(error).__name__}: {error}")
    return wrong


def main(folder: str) -> int:
    """For the launcher: at a low priority, until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the launcher
    os.nice(NICENESS)
    processes.die_with(os.getppid())
    wrong = write(Path(folder))
    print("".join(f"{line}\n" for line in wrong), end="", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
