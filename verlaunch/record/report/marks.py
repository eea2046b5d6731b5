"""What stands on a plot of training curves: a curve, a band, a healthy range, alerts.

    curve(axes, series.points("kl_divergence"), "#3b6fb6")
    healthy(axes, by_name["kl_divergence"], series.values("kl_divergence"))

Left out on purpose: which plots there are, and their frame (curves.py).
"""

import math
from collections.abc import Sequence
from typing import Any

from verlaunch.record.report.named_steps import Points
from verlaunch.record.report.names import Metric
from verlaunch.record.report.smooth import smooth, thin
from verlaunch.record.report.verdicts import start

FEW = 12  # points that are shown as dots
MOST = 1600  # points of a curve; a panel is about half as many pixels wide
FAINT, HEALTHY, ALERT = "#8d99ae", "#2a7f62", "#c8553d"


def curve(axes: Any, points: Points, colour: str, label: str = "", width: float = 1.8) -> None:
    few = len(points) < FEW
    if not few:
        axes.plot(*zip(*thin(points, MOST), strict=True), color=colour, alpha=0.25, linewidth=0.7)
        points = smooth(points)
    marker = "o" if few else ""
    axes.plot(*zip(*thin(points, MOST), strict=True), color=colour, linewidth=width, label=label,
              marker=marker, markersize=3.5, solid_capstyle="round")  # fmt: skip


def _range(metric: Metric, values: list[float]) -> tuple[float | None, float | None, str]:
    """Its ends and its name; a trend or a share counts from where the run began."""
    if metric.trend:
        return start(values), None, "healthy: rising"
    if metric.keeps:
        return metric.keeps * start(values), None, f"healthy: above {metric.keeps:.0%} of its start"
    low, high = metric.healthy or (None, None)
    if low is not None and high is not None:
        return low, high, f"healthy: {low:g} to {high:g}"
    return low, high, f"healthy: above {low:g}" if high is None else f"healthy: below {high:g}"


def healthy(axes: Any, metric: Metric, values: list[float]) -> None:
    if not (metric.healthy or metric.trend or metric.keeps):
        return
    low, high, said = _range(metric, values)
    bottom, top = axes.get_ylim()
    if metric.healthy and low is not None:
        bottom = min(bottom, low)
    if high is not None:
        top = max(top, 1.15 * high)
        bottom = max(bottom, -0.04 * top) if min(values) >= 0 else bottom
    axes.set_ylim(bottom, top)
    axes.axhspan(bottom if low is None else low, top if high is None else high,
                 color=HEALTHY, alpha=0.09, linewidth=0, zorder=0)  # fmt: skip
    axes.set_ylim(bottom, top)
    _note(axes, said, HEALTHY)


def _note(axes: Any, said: str, colour: str) -> None:
    axes.annotate(said, (1, 1), xycoords="axes fraction", xytext=(0, 4), ha="right", fontsize=7.5,
                  textcoords="offset points", color=colour, parse_math=False)  # fmt: skip


def band(axes: Any, low: Points, high: Points, colour: str) -> None:
    """Between two curves, at the steps that both have."""
    tops = dict(smooth(high))
    both = [(step, value, tops[step]) for step, value in smooth(low) if step in tops]
    if both:
        few = both[:: math.ceil(2 * len(both) / MOST)]
        axes.fill_between(*zip(*few, strict=True), color=colour, alpha=0.15, linewidth=0)
        _note(axes, "band: lowest to highest", FAINT)


def alerts(axes: Any, steps: Sequence[int]) -> None:
    if steps:
        axes.plot(steps, [0.02] * len(steps), "^", color=ALERT, markersize=6, clip_on=False,
                  transform=axes.get_xaxis_transform(), zorder=5)  # fmt: skip
