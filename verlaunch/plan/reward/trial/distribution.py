"""A distribution in ten numbers.

distribution([0, 0, 1, 1], lowest=0, highest=1).mean   # 0.5
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Distribution:
    """std: of these values (n). at_lowest, at_highest: shares of them at the ends of the scale."""

    count: int
    mean: float
    std: float
    min: float
    q1: float
    median: float
    q3: float
    max: float
    at_lowest: float
    at_highest: float


def quantile(values: Sequence[float], share: float) -> float:
    """Between the two values beside it; `share` in [0, 1]."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def distribution(values: Sequence[float], lowest: float, highest: float) -> Distribution:
    """values: at least one. lowest, highest: the ends of the scale that `values` are part of."""
    return Distribution(
        count=len(values),
        mean=statistics.fmean(values),
        std=statistics.pstdev(values),
        min=min(values),
        q1=quantile(values, 0.25),
        median=quantile(values, 0.5),
        q3=quantile(values, 0.75),
        max=max(values),
        at_lowest=sum(value <= lowest for value in values) / len(values),
        at_highest=sum(value >= highest for value in values) / len(values),
    )
