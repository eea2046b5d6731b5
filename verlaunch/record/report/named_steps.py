"""The steps of a run by short name.

series = Series(lines)                # of metrics.jsonl, each step once, in order
series.points("reward_mean")          # [(1, 0.43), (2, 0.46), ...]
"""

import math
from collections.abc import Iterable

from verlaunch.record.report.names import Line, only_validates, short, validation_score

Points = list[tuple[int, float]]


class Series:
    def __init__(self, lines: Iterable[Line] = ()) -> None:
        self.steps: list[int] = []
        self.times: list[float] = []
        self._points: dict[str, Points] = {}
        scores: dict[int, float] = {}
        for line in lines:
            step = line["step"]
            if (score := validation_score(line)) is not None:
                scores[step] = score
            if only_validates(line):
                continue
            self.steps.append(step)
            self.times.append(line.get("time", math.nan))
            for name, number in short(line).items():
                self._points.setdefault(name, []).append((step, number))
        self.validations: Points = sorted(scores.items())  # those before the first step as well

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def names(self) -> list[str]:
        return list(self._points)

    def points(self, name: str) -> Points:
        """Without the steps that have no finite number."""
        return self._points.get(name, [])

    def values(self, name: str) -> list[float]:
        return [number for _, number in self.points(name)]
