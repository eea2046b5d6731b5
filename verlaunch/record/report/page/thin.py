"""Long curves as short ones that look the same: of each stretch its lowest and highest point.

    thin([(1, 0.2), (2, None), ...], 2000)     # at most 2000 points, the first and last among them

None is a gap: a number that was not finite. Left out on purpose: curves without gaps that a
picture needs (verlaunch/record/report/smooth.py).
"""

import itertools
from collections.abc import Sequence

Point = tuple[int, float | None]


def thin(points: Sequence[Point], most: int) -> list[Point]:
    """most: at least 4."""
    if len(points) <= most:
        return list(points)
    inner = points[1:-1]
    stretches = (most - 2) // 2
    edges = [index * len(inner) // stretches for index in range(stretches + 1)]
    pairs = itertools.pairwise(edges)
    kept = [point for start, end in pairs for point in _extremes(inner[start:end])]
    return [points[0], *kept, points[-1]]


def _extremes(stretch: Sequence[Point]) -> list[Point]:
    """Two points, or one: in order of steps. A stretch without a number stays a gap."""
    known = [(step, value) for step, value in stretch if value is not None]
    if not known:
        return list(stretch[:1])
    ends = {min(known, key=lambda point: point[1]), max(known, key=lambda point: point[1])}
    return sorted(ends)
