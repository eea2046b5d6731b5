"""The steps of a run by short name, small enough to keep 100,000 of them while a run goes on.

    series = Series()
    series.add(line)                      # a line of metrics.jsonl
    series.points("reward_mean")          # [(1, 0.43), (2, 0.46), ...]

A step that comes again takes the place of what came before, from there on.
"""

import math
from array import array
from collections.abc import Iterable

from verlaunch.record.report.names import Line, only_validates, short, validation_score

Points = list[tuple[int, float]]


class Series:
    def __init__(self, lines: Iterable[Line] = ()) -> None:
        self.steps = array("q")
        self.times = array("d")
        self.validations: Points = []  # those before the first step as well
        self._columns: dict[str, array[float]] = {}  # NaN where a step has no number
        for line in lines:
            self.add(line)

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def names(self) -> list[str]:
        return list(self._columns)

    def add(self, line: Line) -> None:
        step = line["step"]
        if (score := validation_score(line)) is not None:
            while self.validations and self.validations[-1][0] >= step:
                self.validations.pop()
            self.validations.append((step, score))
        if only_validates(line):
            return
        while self.steps and self.steps[-1] >= step:
            self._drop_last()
        self.steps.append(step)
        self.times.append(line.get("time", math.nan))
        self._append(short(line))

    def _append(self, found: dict[str, float]) -> None:
        for name in found:
            if name not in self._columns:
                self._columns[name] = array("d", [math.nan]) * (len(self) - 1)
        for name, column in self._columns.items():
            column.append(found.get(name, math.nan))

    def _drop_last(self) -> None:
        self.steps.pop()
        for column in (self.times, *self._columns.values()):
            column.pop()

    def points(self, name: str) -> Points:
        """Without the steps that have no finite number."""
        column = self._columns.get(name, ())
        return [(s, v) for s, v in zip(self.steps, column, strict=False) if not math.isnan(v)]

    def values(self, name: str) -> list[float]:
        return [number for _, number in self.points(name)]
