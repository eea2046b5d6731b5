"""What a number means and what to try: a word and a sentence for each metric with a healthy range.

    verdict(by_name["kl_divergence"], [0.0, 0.12, 0.25])
    # Verdict("look", "0.1850 is above 0.1: the policy is far from the reference model, ...")

Words are good, look (worth a look) and bad. One noisy step is no verdict: levels are means over
the first and last EDGE steps, and a rise must be larger than the noise of the steps allows. Left
out on purpose: what happens while a run goes on, which is for alerts.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from verlaunch.paths import as_typed
from verlaunch.record.report.advice import ADVICE, TOO_HIGH
from verlaunch.record.report.names import Metric

Word = Literal["good", "look", "bad"]

EDGE = 5  # steps that make a start or an end
FEWEST = 2 * EDGE  # steps before a trend is read
SHARE = 5  # a trend compares the first and last fifth
SURE = 2.0  # standard errors
SCORES_APART = 0.02  # validations that are nearer than that are alike


@dataclass(frozen=True)
class Verdict:
    word: Word
    sentence: str


def start(values: Sequence[float]) -> float:
    return statistics.fmean(values[:EDGE])


def end(values: Sequence[float]) -> float:
    return statistics.fmean(values[-EDGE:])


def _apart(before: Sequence[float], after: Sequence[float]) -> float:
    """How far the means are apart, in standard errors; positive for a rise."""
    rise = statistics.fmean(after) - statistics.fmean(before)
    error = math.sqrt(sum(statistics.variance(side) / len(side) for side in (before, after)))
    return rise / error if error else math.copysign(math.inf, rise) if rise else 0.0


def _direction(change: float, enough: float) -> str:
    return "flat" if abs(change) < enough else "rises" if change > 0 else "falls"


def _said(metric: Metric, word: Word, what: str, kind: str) -> Verdict:
    return Verdict(word, as_typed(f"{what}: {ADVICE[metric.name, kind]}."))


def _trend(metric: Metric, values: Sequence[float]) -> Verdict | None:
    """A validation score is a mean over many rows already, and comes seldom."""
    words: dict[str, Word] = {"rises": "good", "flat": "look", "falls": "bad"}
    if metric.name == "validation_score":
        if len(values) < 2:
            return None
        first, last = values[0], values[-1]
        enough = SCORES_APART * max(map(abs, values))
        kind = _direction(last - first, enough or math.inf)
    elif len(values) < FEWEST:
        return None
    else:
        first, last = start(values), end(values)
        count = max(EDGE, len(values) // SHARE)
        kind = _direction(_apart(values[:count], values[-count:]), SURE)
    what = f"{first:{metric.form}} at the start, {last:{metric.form}} at the end"
    return _said(metric, words[kind], what, kind)


def _range(metric: Metric, values: Sequence[float]) -> Verdict | None:
    if metric.healthy is None or len(values) < EDGE:
        return None
    low, high = metric.healthy
    last = end(values)
    shown = f"{last:{metric.form}}"
    if low is not None and last < low:
        return _said(metric, "look", f"{shown} is below {low:g}", "low")
    if high is not None and last > high:
        word: Word = "bad" if last > TOO_HIGH.get(metric.name, math.inf) else "look"
        return _said(metric, word, f"{shown} is above {high:g}", "high")
    return _said(metric, "good", shown, "good")


def _kept(metric: Metric, values: Sequence[float]) -> Verdict | None:
    if len(values) < FEWEST or start(values) <= 0 or metric.keeps is None:
        return None
    left = end(values) / start(values)
    what = f"{left:.0%} of its start is left ({end(values):{metric.form}})"
    return _said(metric, *(("good", what, "good") if left > metric.keeps else ("bad", what, "low")))


def verdict(metric: Metric, values: Sequence[float]) -> Verdict | None:
    """None for a metric without a healthy range, and where there are too few values to say: the
    KL of a first step is 0.

    values: finite, in order of steps.
    """
    if not values:
        return None
    if metric.trend:
        return _trend(metric, values)
    return _kept(metric, values) if metric.keeps else _range(metric, values)
