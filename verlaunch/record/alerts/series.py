"""The numbers of a run so far, as the checks want them, and what a check says of them.

    series = Series()
    series.add(3, {"critic/score/mean": 0.5, "actor/grad_norm": float("nan")})
    series.now(REWARD, 1)      # 0.5: the median of the last value
    series.now(REWARD, 5)      # None: too few to say anything

A value that is not finite (null in metrics.jsonl) is kept apart: it is a sign of its own (`broken`)
and enters no median. A metric that a run does not measure is never there, and its checks are mute.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from statistics import median, pstdev
from typing import Any

REWARD, LOWEST, HIGHEST = "critic/score/mean", "critic/score/min", "critic/score/max"
KL = ("actor/reward_kl_penalty", "actor/kl_loss")  # in the reward, in the loss
ENTROPY = "actor/entropy"
VALUE_LOSS, EXPLAINED = "critic/vf_loss", "critic/vf_explained_var"
RETURNS_LOW, RETURNS_HIGH = "critic/returns/min", "critic/returns/max"
TRUNCATED = "response/truncated"
LENGTH, LONGEST = "response_length/mean", "response_length/max"
ANSWERED = "reward/answered/mean"
FAILED = "_failed/mean"  # how the share of rows that a part could not score ends
TOKENS, PROMPT = "perf/total_num_tokens", "prompt_length/mean"
# What must be finite in every run. Others may be NaN for good reasons, such as the explained
# variance of returns that are all alike.
FINITE = (REWARD, "critic/rewards/mean", "critic/advantages/mean", "critic/returns/mean",
          "actor/pg_loss", "actor/loss", "actor/grad_norm", ENTROPY, *KL,
          VALUE_LOSS, "critic/loss", "critic/grad_norm")  # fmt: skip
READ = {*FINITE, LOWEST, HIGHEST, EXPLAINED, RETURNS_LOW, RETURNS_HIGH,
        TRUNCATED, LENGTH, LONGEST, ANSWERED}  # fmt: skip


def _number(value: Any) -> float | None:
    """NaN for null; None for what is no number at all."""
    try:
        return math.nan if value is None else float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # text, tables, tensors
        return None


def _responses(metrics: Mapping[str, Any]) -> int | None:
    """How many responses the step had; verl does not say it in one number."""
    tokens, *lengths = (_number(metrics.get(key, 0)) for key in (TOKENS, PROMPT, LENGTH))
    each = sum(length or 0.0 for length in lengths)
    return round(tokens / each) if tokens and each > 0 and math.isfinite(tokens / each) else None


@dataclass(frozen=True)
class Sign:
    """What a check has seen. kind: signs of one alert that differ are told one after another, such
    as a KL that is above its range and later far above. sentence: with numbers, and what to do.
    value: the number that the alert is about."""

    kind: str
    sentence: str
    value: float


def steps(first: int, last: int) -> str:
    """`step 3`, `steps 3 to 7`."""
    return f"step {last}" if first == last else f"steps {first} to {last}"


class Series:
    def __init__(self) -> None:
        self.steps = 0  # how many were added
        self.step = 0  # the newest
        self.broken: list[str] = []  # metrics that were not finite in the newest step
        self.responses: int | None = None  # in the newest step
        self._points: dict[str, list[tuple[int, float]]] = defaultdict(list)  # step and value

    def add(self, step: int, metrics: Mapping[str, Any]) -> None:
        self.step, self.steps, self.broken = step, self.steps + 1, []
        self.responses = _responses(metrics)
        for key in metrics:
            if key in READ or key.endswith(FAILED):
                self._add(step, key, _number(metrics[key]))

    def _add(self, step: int, key: str, value: float | None) -> None:
        if value is None:
            return
        if math.isfinite(value):
            self._points[key].append((step, value))
        elif key in FINITE:
            self.broken.append(key)

    def last(self, key: str, count: int) -> list[float]:
        """The last `count` values; none when there are fewer, or none in the newest step."""
        last = self._points[key][-count:]
        if len(last) < count or last[-1][0] != self.step:
            return []
        return [value for _, value in last]

    def now(self, key: str, count: int) -> float | None:
        """The median of the last `count` values."""
        values = self.last(key, count)
        return median(values) if values else None

    def start(self, key: str, count: int) -> float:
        """The median of the first `count` values."""
        return median(value for _, value in self._points[key][:count])

    def begin(self, key: str, count: int) -> int:
        """The step of the first of the last `count` values."""
        return self._points[key][-count][0]

    def streak(self, key: str, holds: Callable[[float], bool]) -> int:
        """How many of the newest values in a row are so."""
        values = (value for _, value in reversed(self._points[key]))
        return sum(1 for _ in takewhile(holds, values)) if self.last(key, 1) else 0

    def named(self, ending: str) -> list[str]:
        return [key for key in self._points if key.endswith(ending)]

    def rise(self, key: str, count: int) -> float:
        """How much the last values lie above the first, in standard errors; 0 without evidence."""
        values = self.last(key, count)
        if not values or self.steps < 2 * count:
            return 0.0
        first = [value for _, value in self._points[key][:count]]
        error = math.hypot(pstdev(first), pstdev(values)) / math.sqrt(count)
        return (median(values) - median(first)) / max(error, 1e-6)

    def is_solved(self, count: int) -> bool:
        """Whether nearly every response gets the best score that was seen: little is left to
        learn, and a policy that knows its answers has no spread and no entropy."""
        reward = self.now(REWARD, count)
        if reward is None or not self.last(HIGHEST, 1) or not self.last(LOWEST, 1):
            return False
        worst = min(value for _, value in self._points[LOWEST])
        best = max(value for _, value in self._points[HIGHEST])
        return best > worst and (reward - worst) / (best - worst) >= 0.9
