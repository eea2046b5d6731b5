"""Where the scores lie, as one PNG: a plot per data_source, a band per kind of answer.

    draw(sources, Path("scores.png"))

Bars are shares of a band's answers, in one scale for a plot, so that bands of different size
compare. Without pyplot and without a display.
"""

import textwrap
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from verlaunch.plan.reward.trial.answers import EMPTY, IDLE, REFERENCE, RESPONSE, RUBBISH
from verlaunch.plan.reward.trial.summary import Source
from verlaunch.text import plural
from verlaunch.tools.score.verdict import verdict

MOST = 12  # plots
BINS = 30
LONGEST = 110  # characters of a verdict
BAND = 0.78  # of the room between two bands
INK = {"bad": "#b3261e", "look": "#8a6100", "good": "#2a7f62"}
COLOURS = {
    REFERENCE: "#2a7f62",
    RESPONSE: "#3b6fb6",
    RUBBISH: "#c8553d",
    IDLE: "#b08968",
    EMPTY: "#8d99ae",
}


def _edges(source: Source) -> list[float]:
    width = source.highest - source.lowest or 1.0
    first = source.lowest - width / BINS / 2  # the ends of the scale in the middle of their bars
    return [first + number * (width + width / BINS) / BINS for number in range(BINS + 1)]


def _shares(values: Sequence[float], edges: Sequence[float]) -> list[float]:
    step = edges[1] - edges[0]
    shares = [0.0] * BINS
    for value in values:
        shares[min(BINS - 1, int((value - edges[0]) / step))] += 1 / len(values)
    return shares


def _bands(axes: Any, source: Source) -> None:
    edges = _edges(source)
    kinds = [kind for kind in reversed(COLOURS) if kind in source.good]
    shares = {kind: _shares([one.score for one in source.of(kind)], edges) for kind in kinds}
    tallest = max(share for band in shares.values() for share in band)
    for place, kind in enumerate(kinds):
        colour, found = COLOURS[kind], source.scores[kind]
        axes.bar(
            edges[:-1],
            [BAND * share / tallest for share in shares[kind]],
            width=(edges[1] - edges[0]) * 0.94,
            bottom=place,
            align="edge",
            color=colour,
        )
        axes.axhline(place, color="#d0d0d0", linewidth=0.8, zorder=0)
        axes.plot([found.mean] * 2, [place, place + BAND], color=colour, linestyle=":", alpha=0.8)
        said = f"mean {found.mean:.2f}, std {found.std:.2f}\n{plural(found.count, 'answer')}"
        axes.text(1.01, place + 0.3, said, transform=axes.get_yaxis_transform(), fontsize=8)
    axes.set_yticks([place + 0.3 for place in range(len(kinds))], kinds)
    axes.set_ylim(0, len(kinds) - 0.1)
    axes.set_xlim(edges[0], edges[-1])


def _title(source: Source) -> str:
    weighed = {part.name: part.weight for part in source.parts if part.weight}
    if list(weighed.values()) == [1]:
        return f"{source.name}   {next(iter(weighed))}"
    total = " + ".join(f"{weight:g} {name}" for name, weight in weighed.items())
    return f"{source.name}   {total}"


def _headline(axes: Any, source: Source) -> None:
    worst = verdict(source)[0]
    said = textwrap.shorten(worst.text, LONGEST)
    axes.set_title(_title(source), loc="left", fontsize=11, pad=21, parse_math=False)
    axes.annotate(
        said,
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, 8),
        textcoords="offset points",
        color=INK[worst.level],
        fontsize=8,
        parse_math=False,  # a $ in an answer is a $
    )


def draw(sources: Sequence[Source], path: Path) -> bool:
    """False when nothing has a score and there is no picture to draw."""
    drawn = [source for source in sources if source.good][:MOST]
    if not drawn:
        return False
    from matplotlib.figure import Figure

    heights = [0.55 * len(source.good) + 1.1 for source in drawn]
    figure = Figure(figsize=(8, sum(heights)), layout="constrained")
    plots = figure.subplots(len(drawn), 1, squeeze=False, gridspec_kw={"height_ratios": heights})
    for axes, source in zip(plots[:, 0], drawn, strict=True):
        _bands(axes, source)
        _headline(axes, source)
        axes.tick_params(left=False)
        axes.spines[["top", "right", "left"]].set_visible(False)
    plots[-1, 0].set_xlabel("score (height of a bar: share of the answers; dotted: mean)")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # letters that the font lacks are boxes
        figure.savefig(path, dpi=130)
    return True
