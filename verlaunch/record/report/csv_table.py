"""metrics/training_metrics.csv: one row for each step, short names first, then verl's.

    write(Path("outputs"))         # all rows anew
    table = Table(Path("outputs")) # as a run goes on: a row is added, nothing is read again
    table.add(line)

Columns: step, time (UTC), epoch, every short name of names.py in its order, the reward's parts,
then verl's names as they first came. A step that was trained again has one row, the later one; what
a run does not measure is an empty cell. Validations before the first step have no row.
"""

import csv
import io
import time
from collections.abc import Iterable
from pathlib import Path

from verlaunch.record.channel import METRICS
from verlaunch.record.report.atomic import replacing
from verlaunch.record.report.history import lines
from verlaunch.record.report.names import PART, Line, by_name, finite, only_validates, short

CSV = Path("metrics", "training_metrics.csv")
FIRST = ("step", "time", "epoch")
EPOCH = "training/epoch"


def _cells(line: Line) -> dict[str, object]:
    when = finite(line.get("time"))
    utc = "" if when is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when))
    return {**line, **short(line), "time": utc, "epoch": line.get(EPOCH)}


def _row(cells: Iterable[object]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue()


class Table:
    """Not for two processes at once: it remembers what stands in the file."""

    def __init__(self, folder: Path) -> None:
        self.source = folder / METRICS
        self.file = folder / CSV
        self.columns: dict[str, None] = {}  # a set that keeps its order
        self.last = -1  # step of the last row
        self.size = -1  # of the file as we left it; somebody may make it anew by hand

    def add(self, line: Line) -> None:
        """A line that is in metrics.jsonl already."""
        if only_validates(line):
            return
        fits = line.keys() | short(line).keys() <= self.columns.keys()
        if fits and line["step"] > self.last and self._size() == self.size:
            with self.file.open("a", encoding="utf-8", newline="") as file:
                file.write(self._written(line))
            self.last, self.size = line["step"], self._size()
        else:
            self.write()

    def _size(self) -> int:
        return self.file.stat().st_size if self.file.exists() else -1

    def write(self) -> None:
        """All rows anew, in two passes, so that no run is too long to be held in memory."""
        places = self._look()
        with (
            replacing(self.file) as partial,
            partial.open("w", encoding="utf-8", newline="") as out,
        ):
            out.write(_row(self.columns))
            for place, line in enumerate(lines(self.source)):
                if places.get(line.get("step", -1)) == place:
                    out.write(self._written(line))
        self.size = self._size()

    def _look(self) -> dict[int, int]:
        """Fills in the columns; for each step, which line of the file counts."""
        parts: dict[str, None] = {}
        theirs: dict[str, None] = {}
        places: dict[int, int] = {}
        for place, line in enumerate(lines(self.source)):
            if not only_validates(line):
                parts |= dict.fromkeys(name for name in short(line) if name.startswith(PART))
                theirs |= dict.fromkeys(line)
                places[line["step"]] = place
        self.columns = dict.fromkeys([*FIRST, *by_name, *parts, *theirs])
        self.last = max(places, default=-1)
        return places

    def _written(self, line: Line) -> str:
        cells = _cells(line)
        return _row(cells.get(column) for column in self.columns)


def write(folder: Path) -> Path:
    table = Table(folder)
    table.write()
    return table.file
