"""metrics/training_curves.png: what a run did, on one page.

    draw(read(Path("outputs")), Path("curves.png"))

Faint lines are single steps, strong ones a moving mean; green bands are healthy ranges, red marks
alerts, dotted lines the steps that a run was continued from. Without pyplot and without a display.
"""

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from verlaunch.record.report.history import History
from verlaunch.record.report.marks import FAINT, MOST, alerts, band, curve, healthy
from verlaunch.record.report.named_steps import Series
from verlaunch.record.report.names import Metric, of_run
from verlaunch.record.report.panels import Panel, parts, shown
from verlaunch.record.report.smooth import thin
from verlaunch.record.report.state import outcome, resumed_after, total_steps

COLUMNS = 3
WIDE = 2  # columns of the first panel
SIZE = (4.2, 2.65)  # inches of a panel
DPI = 150
INK, GRID = "#22303c", "#e4e8ec"
LINE, VALIDATION = "#3b6fb6", "#e09f3e"
PARTS = ("#7b6ca8", "#2a7f62", "#b5651d", "#4aa3a2", "#a8577e", "#8d99ae")
MARKED = 80  # validations, at most
ROOM = 60  # characters of a legend beside the title
LEAST_KL = 1e-3  # below it the scale is linear: a policy that has not moved has a KL of 0


def _reward(axes: Any, series: Series) -> None:
    """The parts below the whole, and the validation, which has no noise of its own to smooth."""
    for colour, (name, column) in zip(PARTS, parts(series).items(), strict=False):
        curve(axes, series.points(column), colour, name, width=1.1)
    if series.validations:
        mark = "D" if len(series.validations) <= MARKED else ""
        axes.plot(*zip(*thin(series.validations, MOST), strict=True), f"{mark}--", color=VALIDATION,
                  markersize=4.5, linewidth=1, label="validation", markeredgecolor="white",
                  zorder=4)  # fmt: skip
    _name_lines(axes)


def _name_lines(axes: Any) -> None:
    """Beside the title where there is room."""
    names = axes.get_legend_handles_labels()[1]
    how: dict[str, Any] = {"fontsize": 8, "handlelength": 1.4}
    if len("".join(names)) <= ROOM:
        above = {"loc": "lower center", "bbox_to_anchor": (0.5, 0.985), "ncols": len(names)}
        axes.legend(**how, **above, frameon=False, columnspacing=1.4)
    else:
        axes.legend(**how, loc="best", framealpha=0.7, edgecolor="none")


def _panel(axes: Any, panel: Panel, series: Series, metric: Metric) -> None:
    if panel.band:
        low, high = panel.band
        band(axes, series.points(low), series.points(high), LINE)
    curve(axes, series.points(panel.name), LINE, "reward")
    if panel.scale == "symlog":
        axes.set_yscale("symlog", linthresh=LEAST_KL, linscale=0.4)
        axes.set_ylim(min(-LEAST_KL / 5, min(series.values(panel.name))), None)
    if panel.name == "reward_mean":
        _reward(axes, series)
    healthy(axes, metric, series.values(panel.name))


def _dress(axes: Any, panel: Panel, history: History) -> None:
    axes.set_title(panel.title, loc="left", fontsize=10, color=INK, fontweight="bold")
    axes.set_ylabel(panel.unit, fontsize=8, color=FAINT)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(labelsize=8, colors=INK, length=3)
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    for step in resumed_after(history.events):
        axes.axvline(step + 0.5, color=FAINT, linewidth=0.9, linestyle=":", zorder=1)
    alerts(axes, [alert["step"] for alert in history.alerts if alert["name"] in panel.alerts])


def _headline(history: History, series: Series) -> str:
    identity = history.identity
    done, total = series.steps[-1], total_steps(history)
    steps = f"step {done} of {total}" if total else f"step {done}"
    return (
        f"{identity.get('model', 'a run')} on {identity.get('data', 'unknown data')}\n"
        f"reward: {identity.get('reward', 'unknown')}   ·   {steps}, {outcome(history, done).state}"
    )


def _legend(history: History) -> str:
    said = ["x: steps", "faint: single steps", "strong: moving mean", "green: healthy"]
    said += ["dotted: continued from there"] if resumed_after(history.events) else []
    said += ["triangle: alert"] if history.alerts else []
    return "   ·   ".join(said)


def _grid(figure: Any, count: int) -> list[Any]:
    """The first panel takes two columns."""
    cells = figure.add_gridspec(_rows(count), COLUMNS)
    first = figure.add_subplot(cells[0, :WIDE])
    places = range(WIDE, WIDE + count - 1)
    return [first, *(figure.add_subplot(cells[i // COLUMNS, i % COLUMNS]) for i in places)]


def _rows(panels: int) -> int:
    return math.ceil((panels + WIDE - 1) / COLUMNS)


def _figure(history: History, series: Series, panels: Sequence[Panel]) -> Any:
    from matplotlib.figure import Figure

    size = (SIZE[0] * COLUMNS, SIZE[1] * _rows(len(panels)) + 0.9)
    figure: Any = Figure(figsize=size, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.14, h_pad=0.12)
    figure.suptitle(_headline(history, series), x=0.012, ha="left", fontsize=12, color=INK,
                    linespacing=1.5, parse_math=False)  # fmt: skip
    figure.supxlabel(_legend(history), x=0.012, ha="left", fontsize=8, color=FAINT)
    table = of_run(history.config, series.values("response_length"))
    for axes, panel in zip(_grid(figure, len(panels)), panels, strict=True):
        _panel(axes, panel, series, table[panel.name])
        _dress(axes, panel, history)
    return figure


def draw(history: History, file: Path) -> bool:
    """False when no step is done and there is nothing to draw."""
    panels = shown(history.series)
    if not panels:
        return False
    figure = _figure(history, history.series, panels)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # letters that the font lacks are boxes
        figure.savefig(file, dpi=DPI, format="png", facecolor="white")
    return True
