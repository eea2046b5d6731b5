"""The curves of the page, as points that a browser draws.

    charts(history)[0]
    # {"title": "Reward", "group": "main", "healthy": None, "alerts": [12],
    #  "series": [{"label": "reward_mean", "kind": "raw", "x": [1, 2], "y": [0.41, 0.44]}, ...]}

Kinds: `raw` is every step, `smooth` its running mean, `sparse` what is measured now and then,
`band` lies between two metrics. Every metric has a chart: what is not in PANELS is in "more".
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from verlaunch.record.report import names
from verlaunch.record.report.history import History
from verlaunch.record.report.named_steps import Series
from verlaunch.record.report.panels import PANELS
from verlaunch.record.report.smooth import Point, smooth, thin

MOST = 2000  # points of a curve
SMOOTH_MOST = 500
DOTTED = 60  # points that are shown one by one
FEWEST = 12  # points that are worth smoothing
DIGITS = 5  # of a number
VALIDATION = "validation_score"
PHASE = "time_"  # metrics of a phase begin so


@dataclass(frozen=True)
class Chart:
    title: str
    lines: tuple[str, ...]  # short names
    band: tuple[str, str] | None = None  # lowest and highest
    alerts: tuple[str, ...] = ()  # names of alerts that are marked in it
    is_of_first: bool = True  # whether the first line's healthy range and help are the chart's


Columns = dict[str, list[Point]]


def _columns(series: Series) -> Columns:
    """Points by short name, in the order of the table of metrics, then the reward's parts."""
    parts = sorted(name for name in series.names if name.startswith(names.PART))
    points = {name: series.points(name) for name in [*names.by_name, *parts]}
    points[VALIDATION] = series.validations
    return {name: _with_gaps(found, series) for name, found in points.items() if found}


def _with_gaps(points: Sequence[tuple[int, float]], series: Series) -> list[Point]:
    """None for the steps of a metric of every step that have no finite number."""
    if _is_sparse(points, len(series)) or len(points) >= len(series):
        return list(points)
    known = dict(points)
    return [(step, known.get(step)) for step in series.steps if step >= points[0][0]]


def _is_sparse(points: Sequence[Point], steps: int) -> bool:
    return 2 * len(points) < steps


def _round(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")


def _series(label: str, kind: str, points: Sequence[Point]) -> dict[str, Any]:
    return {"label": label, "kind": kind, "x": [step for step, _ in points],
            "y": [_round(value) for _, value in points]}  # fmt: skip


def _label(name: str) -> str:
    if name.startswith(PHASE):
        return name.removeprefix(PHASE).removesuffix("_s").replace("_", " ")
    return name.removeprefix(names.PART)


def _line(name: str, points: list[Point], steps: int) -> list[dict[str, Any]]:
    label = _label(name)
    is_rare = name == VALIDATION or _is_sparse(points, steps)
    if is_rare and len(points) <= DOTTED:
        return [_series(label, "sparse", points)]
    raw = _series(label, "raw", thin(points, MOST))
    known = [(step, value) for step, value in points if value is not None]
    if len(known) < FEWEST:
        return [raw]
    return [raw, _series(label, "smooth", thin(smooth(known), SMOOTH_MOST))]


def _band(columns: Columns, lowest: str, highest: str) -> list[dict[str, Any]]:
    """Two curves with the area between them; thinned apart, drawn as one outline."""
    low, high = (thin(columns.get(name, []), MOST // 2) for name in (lowest, highest))
    if not low or not high:
        return []
    under = _series("", "band", low)
    return [{**_series("lowest to highest", "band", high), "x2": under["x"], "y2": under["y"]}]


def _chart(
    chart: Chart, columns: Columns, steps: int, table: dict[str, names.Metric]
) -> dict[str, Any] | None:
    known = [name for name in chart.lines if name in columns]
    if not known:
        return None
    metric = table.get(chart.lines[0]) if chart.is_of_first else None
    band = _band(columns, *chart.band) if chart.band else []
    return {
        "title": chart.title,
        "help": metric.help if metric else "",
        "healthy": metric.healthy if metric else None,
        "series": band + [one for name in known for one in _line(name, columns[name], steps)],
    }


def _marks(chart: Chart, history: History) -> list[int]:
    """Steps of the alerts that belong to it."""
    lines = [line for line in history.alerts if line.get("name") in chart.alerts]
    return sorted({line["step"] for line in lines if isinstance(line.get("step"), int)})


def _parts(columns: Columns) -> tuple[str, ...]:
    """Those of the reward, without failures that never came."""
    parts = [name for name in columns if name.startswith(names.PART)]
    quiet = [name for name in parts if name.endswith("_failed")]
    never = {name for name in quiet if not any(value for _, value in columns[name])}
    return tuple(name for name in parts if name not in never)


def _others(columns: Columns, drawn: Sequence[Chart]) -> list[Chart]:
    """A chart each for what is in no chart yet, and one for all phases of a step."""
    taken = {name for chart in drawn for name in (*chart.lines, *(chart.band or ()))}
    left = [name for name in columns if name not in taken and not name.startswith(names.PART)]
    phases = tuple(name for name in left if name.startswith(PHASE))
    single = [name for name in left if name not in phases]
    return [Chart(names.by_name[name].title, (name,)) for name in single] + [
        Chart("Seconds by phase", phases, is_of_first=False)
    ]


def _main(columns: Columns) -> list[Chart]:
    """Those of the picture; the reward with its validations, and its parts beside it."""
    reward, *others = [Chart(p.title, (p.name,), p.band, p.alerts) for p in PANELS]
    parts = Chart("Reward parts", _parts(columns), is_of_first=False)
    return [replace(reward, lines=(*reward.lines, VALIDATION)), parts, *others]


def charts(history: History) -> list[dict[str, Any]]:
    series = history.series
    columns, table = (
        _columns(series),
        names.of_run(history.config, series.values("response_length")),
    )
    main = _main(columns)
    groups = {"main": main, "more": _others(columns, main)}
    pairs = [(group, chart) for group, found in groups.items() for chart in found]
    made = [(group, chart, _chart(chart, columns, len(series), table)) for group, chart in pairs]
    return [
        {**drawn, "group": group, "alerts": _marks(chart, history)}
        for group, chart, drawn in made
        if drawn
    ]
