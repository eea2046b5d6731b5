"""What is told of the optimizer's steps: those that were taken, at the rate that they had."""

from types import SimpleNamespace
from typing import Any

import pytest

from verlaunch.engine.training.engines import _AnyDevice
from verlaunch.engine.training.updates import Updates


class Verls:
    """The engine below ours: a schedule of warm-up, and norms of gradients."""

    def __init__(self, *norms: float) -> None:
        self.norms, self.rates = list(norms), [0.0, 0.5, 1.0, 1.0]
        self.lr_scheduler = SimpleNamespace(get_last_lr=lambda: [self.rates[0]])

    def optimizer_step(self) -> float:
        return self.norms.pop(0)

    def lr_scheduler_step(self) -> float:
        self.rates.pop(0)
        return self.rates[0]


class Engine(_AnyDevice, Verls):
    def __init__(self, *norms: float) -> None:
        Verls.__init__(self, *norms)


def test_the_rate_that_is_told_is_the_one_that_was_used() -> None:
    engine, verls = Engine(), Verls()
    assert [engine.lr_scheduler_step() for _ in range(3)] == [0.0, 0.5, 1.0]
    assert [verls.lr_scheduler_step() for _ in range(3)] == [0.5, 1.0, 1.0]


def test_a_gradient_that_is_no_number_is_no_update(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verlaunch.engine.training.updates.get_device_id", lambda: "cpu")
    updates, engine = Updates(limit=1.0, per_epoch=1), Engine(1.0, float("nan"), 2.0, 3.0)
    engine.missed = updates.miss
    seen: list[Any] = []
    for allowed in (True, True, True, False):
        updates.seen.append(0.5)
        engine.may_step = lambda allowed=allowed: allowed  # type: ignore[misc]
        updates.stopped = not allowed
        seen.append(engine.optimizer_step())
    assert (seen[0], seen[2], seen[3]) == (1.0, 2.0, None) and seen[1] != seen[1]
    assert updates.metrics()["updates"] == [2.0]
