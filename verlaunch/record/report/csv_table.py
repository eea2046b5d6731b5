"""metrics/training_metrics.csv: one row for each step, short names first, then verl's.

    write(read(Path("outputs")))

Columns: step, time (UTC), epoch, every short name of names.py in its order, the reward's parts,
then verl's names as they first came. A step that was trained again has one row, the later one; what
a run does not measure is an empty cell. Validations before the first step have no row.
"""

import csv
import time
from pathlib import Path

from verlaunch.machine.disk import replacing
from verlaunch.record.report.history import History
from verlaunch.record.report.names import PART, Line, by_name, finite, short

CSV = Path("metrics", "training_metrics.csv")
FIRST = ("step", "time", "epoch")
EPOCH = "training/epoch"


def _cells(line: Line) -> dict[str, object]:
    when = finite(line.get("time"))
    utc = "" if when is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when))
    return {**line, **short(line), "time": utc, "epoch": line.get(EPOCH)}


def write(history: History) -> None:
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
