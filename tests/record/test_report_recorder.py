"""The recorder keeps up with a run, costs it little, and never ends it."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.recorded_run import metrics
from verlaunch.record.channel import Channel
from verlaunch.record.report import recorder as room
from verlaunch.record.report.recorder import EVERY_S, LOG, Recorder
from verlaunch.record.report.write import PAGE, PICTURE, SUMMARY

COUNTS = """
import sys
from pathlib import Path
with (Path(sys.argv[1]) / "count").open("a") as out:
    out.write("x")
"""
HANGS = "import time; time.sleep(600)"
BREAKS = "raise SystemExit('no ink')"


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def child(script: str) -> tuple[str, ...]:
    return (sys.executable, "-c", script)


def summary(folder: Path) -> dict[str, Any]:
    return json.loads((folder / SUMMARY).read_text())


def drawn(folder: Path) -> int:
    count = folder / "count"
    return len(count.read_text()) if count.exists() else 0


def add(channel: Channel, lines: list[dict[str, Any]]) -> None:
    for line in lines:
        channel.log(line, line["step"])


def test_reports_come_once_a_minute_and_never_two_at_once(tmp_path: Path) -> None:
    clock = Clock()
    channel, recorder = Channel(tmp_path), Recorder(tmp_path, clock, child(COUNTS))
    add(channel, list(metrics(3)))
    recorder.update()
    assert recorder.child is None  # not before the first minute is over
    clock.time = EVERY_S
    recorder.update()
    first = recorder.child
    assert first is not None
    recorder.update()
    assert recorder.child in (first, None)
    first.wait()
    recorder.update()
    clock.time += EVERY_S - 1
    recorder.update()
    assert recorder.child is None and drawn(tmp_path) == 1
    clock.time += 1
    recorder.update()
    assert recorder.child is not None
    recorder.finish(0)
    assert drawn(tmp_path) == 3


def test_slow_reports_come_less_often(tmp_path: Path) -> None:
    clock = Clock()
    recorder = Recorder(tmp_path, clock, child(COUNTS))
    add(Channel(tmp_path), list(metrics(3)))
    clock.time = EVERY_S
    recorder.update()
    assert recorder.child is not None
    recorder.child.wait()
    clock.time += 100
    recorder.update()
    assert recorder.next == clock.time + room.SHARE * 100


def test_the_end_is_told_with_code_and_reason_and_shown(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    add(Channel(tmp_path), list(metrics(3)))
    assert recorder.finish(1, "ValueError: no") == tmp_path / PAGE
    assert (tmp_path / PICTURE).exists()
    assert (summary(tmp_path)["state"], summary(tmp_path)["reason"]) == ("failed", "ValueError: no")
    assert "ValueError: no" in (tmp_path / PAGE).read_text()


def test_a_run_without_a_step_has_a_summary_and_names_no_page(tmp_path: Path) -> None:
    assert Recorder(tmp_path).finish(1, "OSError: no model") is None
    assert summary(tmp_path)["reason"] == "OSError: no model"


def test_a_broken_recorder_says_so_once_and_the_run_goes_on(tmp_path: Path) -> None:
    clock = Clock()
    add(Channel(tmp_path), list(metrics(3)))
    recorder = Recorder(tmp_path, clock, ("/no/such/program",))
    clock.time = EVERY_S
    for _ in range(3):
        recorder.update()
    assert recorder.finish(0) is None
    log = (tmp_path / LOG).read_text()
    assert log.count("The report is no longer kept up to date.") == 1


@pytest.mark.parametrize("script", [HANGS, BREAKS])
def test_reports_that_hang_or_break_hold_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setattr(room, "LITTLE_PATIENCE_S", 0.3)
    recorder = Recorder(tmp_path, Clock(), child(script))
    add(Channel(tmp_path), list(metrics(3)))
    assert recorder.finish(0, in_a_hurry=True) is None
    assert recorder.child is None or recorder.child.poll() is not None
