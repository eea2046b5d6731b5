"""Points of a curve made fewer and smoother, for the eye.

thin(points)       # at most 2 * MOST, each stretch's lowest and highest kept
smooth(points)     # a centred mean; at both ends, of the side that there is
"""

from itertools import accumulate, pairwise

from verlaunch.record.report.series import Points

MOST = 800  # stretches; a panel is about as many pixels wide
SHARE = 25  # a window is this part of all points
NARROWEST = 5


def thin(points: Points) -> Points:
    if len(points) <= 2 * MOST:
        return points
    edges = [len(points) * i // MOST for i in range(MOST + 1)]
    kept: Points = []
    for start, end in pairwise(edges):
        stretch = points[start:end]
        ends = {min(stretch, key=lambda p: p[1]), max(stretch, key=lambda p: p[1])}
        kept += sorted(ends)
    return kept


def smooth(points: Points) -> Points:
    half = max(NARROWEST, len(points) // SHARE) // 2
    sums = [0.0, *accumulate(value for _, value in points)]
    found = []
    for place, (step, _) in enumerate(points):
        start, end = max(0, place - half), min(len(points), place + half + 1)
        found.append((step, (sums[end] - sums[start]) / (end - start)))
    return found
