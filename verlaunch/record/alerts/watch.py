"""Looks at every step of a run and says what is new.

    alerts = Alerts(history, target_kl=6.0)
    for alert in alerts.look(step, metrics): ...
    alerts.now      # what holds in this step, told now or before: what --stop_on goes by

A sign is told once, and again only when it had been gone for QUIET_STEPS. After a resume the lines
of metrics.jsonl are looked at first, so that nothing waits for new evidence or is told twice.
A check that fails is our fault and goes to the log; training never hears of it.
"""

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from verlaunch.paths import as_typed
from verlaunch.record.alerts import policy, responses, reward
from verlaunch.record.alerts.series import REWARD, Series, Sign

logger = logging.getLogger(__name__)

Check = Callable[[Series], "Sign | None"]
CHECKS: dict[str, Check] = {
    "nan": policy.nan,
    "reward_zero": reward.reward_zero,
    "reward_constant": reward.reward_constant,
    "judge": reward.judge,
    "truncated": responses.truncated,
    "kl": policy.kl,
    "entropy": policy.entropy,
    "length": responses.length,
    "value_loss": policy.value_loss,
}
NAMES = tuple(CHECKS)
QUIET_STEPS = 10  # numbers that swing about a threshold are one alert


@dataclass(frozen=True)
class Alert:
    """sentence: what is seen, with numbers, and what to do. value: null where it is not finite."""

    step: int
    name: str
    sentence: str
    value: float | None


class Alerts:
    """history: lines of metrics.jsonl until here. target_kl: of an adaptive KL coefficient."""

    def __init__(
        self, history: Iterable[Mapping[str, Any]] = (), target_kl: float | None = None
    ) -> None:
        self.now: list[Alert] = []
        self._series = Series()
        self._checks: dict[str, Check] = {**CHECKS, "kl": partial(policy.kl, target_kl=target_kl)}
        self._seen: dict[tuple[str, str], int] = {}  # name, kind: the step it last held in
        lines = [line for line in history if REWARD in line]
        for line in lines[:-QUIET_STEPS]:  # what these showed is forgotten by now
            self._series.add(line["step"], line)
        for line in lines[-QUIET_STEPS:]:
            self.look(line["step"], line)

    def look(self, step: int, metrics: Mapping[str, Any]) -> list[Alert]:
        """What this step shows for the first time."""
        if REWARD not in metrics:  # a validation, without training
            return []
        self._series.add(step, metrics)
        signs = {name: sign for name in NAMES if (sign := self._ask(name)) is not None}
        self.now = [_alert(step, name, sign) for name, sign in signs.items()]
        return [alert for alert in self.now if self._is_news(alert, signs[alert.name])]

    def _ask(self, name: str) -> Sign | None:
        try:
            return self._checks[name](self._series)
        except Exception:
            logger.exception("the alert %s failed on step %d", name, self._series.step)
            return None

    def _is_news(self, alert: Alert, sign: Sign) -> bool:
        before = self._seen.get((alert.name, sign.kind))
        self._seen[alert.name, sign.kind] = alert.step
        return before is None or alert.step - before > QUIET_STEPS


def _alert(step: int, name: str, sign: Sign) -> Alert:
    value = sign.value if math.isfinite(sign.value) else None
    return Alert(step, name, as_typed(sign.sentence), value)
