"""Points of a curve made fewer and smoother, for the eye.

    thin([(1, 0.2), (2, None), ...], 2000)     # at most 2000 points, the first and last among them
    smooth(points)                             # a centred mean; at both ends, of what there is

None is a gap: a number that was not finite.
"""

from collections.abc import Sequence
from itertools import accumulate, pairwise

from verlaunch.record.report.named_steps import Points

SHARE = 25  # a window is this part of all points
NARROWEST = 5
Point = tuple[int, float | None]


def thin(points: Sequence[Point], most: int) -> list[Point]:
    """Of each stretch its lowest and highest point. most: at least 4."""
    if len(points) <= most:
        return list(points)
    inner = points[1:-1]
    stretches = (most - 2) // 2
    edges = [index * len(inner) // stretches for index in range(stretches + 1)]
    kept = [point for start, end in pairwise(edges) for point in _extremes(inner[start:end])]
    return [points[0], *kept, points[-1]]


def _extremes(stretch: Sequence[Point]) -> list[Point]:
    """Two points, or one: in order of steps. A stretch without a number stays a gap."""
    known = [(step, value) for step, value in stretch if value is not None]
    if not known:
        return list(stretch[:1])
    ends = {min(known, key=lambda point: point[1]), max(known, key=lambda point: point[1])}
    return sorted(ends)


def smooth(points: Points) -> Points:
    half = max(NARROWEST, len(points) // SHARE) // 2
    sums = [0.0, *accumulate(value for _, value in points)]
    found = []
    for place, (step, _) in enumerate(points):
        start, end = max(0, place - half), min(len(points), place + half + 1)
        found.append((step, (sums[end] - sums[start]) / (end - start)))
    return found
