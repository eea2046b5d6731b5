"""Slow is not hung: only a run without any sign of progress is ended."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from verlaunch.engine import heartbeat
from verlaunch.launch.watchdog import Watchdog, stuck
from verlaunch.record.channel import HEARTBEAT
from verlaunch.record.channel import heartbeat as heard


class Clock:
    def __init__(self) -> None:
        self.time_s = 0.0

    def __call__(self) -> float:
        return self.time_s


def test_a_run_that_shows_signs_is_never_hung_however_long_it_takes() -> None:
    clock = Clock()
    watchdog = Watchdog(60, clock)
    for minute in range(600):
        clock.time_s += 59
        watchdog.look(minute)
        assert not watchdog.is_hung


def test_a_run_without_signs_is_hung_after_the_limit_and_not_before() -> None:
    clock = Clock()
    watchdog = Watchdog(60, clock)
    watchdog.look(("rollout", 3))
    clock.time_s = 60
    watchdog.look(("rollout", 3))
    assert not watchdog.is_hung
    clock.time_s = 60.5
    watchdog.look(("rollout", 3))
    assert watchdog.is_hung


def test_work_is_heard_through_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "logs").mkdir()
    monkeypatch.setattr(heartbeat, "_last", 0.0)
    monkeypatch.setenv(heartbeat.VARIABLE, str(tmp_path / HEARTBEAT))
    assert heard(tmp_path) == 0.0
    heartbeat.beat()
    first = heard(tmp_path)
    assert first > 0
    os.utime(tmp_path / HEARTBEAT, (1, 1))
    heartbeat.beat()  # within the same second: costs nothing, says nothing
    assert heard(tmp_path) == 1.0


def test_without_a_run_a_beat_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "_last", 0.0)
    monkeypatch.delenv(heartbeat.VARIABLE, raising=False)
    heartbeat.beat()


def test_a_stopped_process_is_named() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        assert stuck([child.pid, 2**22 - 3]) == []
        child.send_signal(signal.SIGSTOP)
        deadline = time.monotonic() + 10
        while not stuck([child.pid]) and time.monotonic() < deadline:
            time.sleep(0.01)
        (told,) = stuck([child.pid])
        assert f"(process {child.pid}) is stopped by a signal" in told
    finally:
        child.kill()
        child.wait()
