"""Writes what a person reads of a run: summary.json, training_metrics.csv, the curves, report.html.

    write(Path("outputs"))      # [], or what could not be written

Each file is whole whenever someone looks at it, and what cannot be made keeps none of the others
from being made. Left out on purpose: when to write (recorder.py).
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from verlaunch.machine import processes
from verlaunch.machine.disk import replacing
from verlaunch.record.report import csv_table
from verlaunch.record.report.history import History, read
from verlaunch.record.report.summary import summarize

SUMMARY = Path("metrics", "summary.json")
PICTURE = Path("metrics", "training_curves.png")
PAGE = Path("report.html")
NICENESS = 10  # training comes first


def write_summary(folder: Path, summary: dict[str, Any]) -> None:
    with replacing(folder / SUMMARY) as partial:
        text = json.dumps(summary, indent=1, allow_nan=False, ensure_ascii=False)
        partial.write_text(text + "\n", encoding="utf-8")


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
        csv_table.CSV: lambda: csv_table.write(history),
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
