"""What a run writes for others to read: whole lines, numbers only, appended."""

import errno
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

from verlaunch.record.channel import SAMPLES, Channel, Tail, rewind
from verlaunch.record.report.history import lines


def test_a_reader_gets_each_event_once_and_in_order(tmp_path: Path) -> None:
    channel, tail = Channel(tmp_path), Tail(tmp_path / "logs" / "events.jsonl")
    assert list(tail.new()) == []
    channel.phase("rollout", step=3)
    channel.event("saved", step=3)
    assert [event["event"] for event in tail.new()] == ["phase", "saved"]
    assert list(tail.new()) == []
    channel.phase("update", step=3)
    assert [event["phase"] for event in tail.new()] == ["update"]


def test_half_a_line_is_read_when_it_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    tail = Tail(file)
    file.write_text('{"step": 1}\n{"st')
    assert list(tail.new()) == [{"step": 1}]
    with file.open("a") as out:
        out.write('ep": 2}\n')
    assert list(tail.new()) == [{"step": 2}]


def test_a_reader_can_start_at_the_end(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    file.write_text('{"step": 1}\n')
    tail = Tail(file, from_end=True)
    with file.open("a") as out:
        out.write('{"step": 2}\n')
    assert list(tail.new()) == [{"step": 2}]


def test_metrics_are_numbers_and_what_is_not_finite_is_null(tmp_path: Path) -> None:
    Channel(tmp_path).log(
        {"a": np.float32(0.5), "b": math.nan, "c": 7, "d": -math.inf, "e": np.int64(3), "f": None,
         "text": "x", "list": [1], "table": {}, "many": np.zeros(3)},
        step=4,
    )  # fmt: skip
    line = json.loads((tmp_path / "metrics.jsonl").read_text(), parse_constant=lambda word: 1 / 0)
    assert line.pop("time") > 0
    assert line == {"step": 4, "a": 0.5, "b": None, "c": 7, "d": None, "e": 3, "f": None}
    assert isinstance(line["c"], int)


def test_a_resumed_run_goes_on_after_a_line_that_a_crash_cut(tmp_path: Path) -> None:
    Channel(tmp_path).log({"a": 1}, step=1)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "ti')
    Channel(tmp_path).log({"a": 1}, step=2)
    assert [line["step"] for line in Tail(tmp_path / "metrics.jsonl").new()] == [1, 2]


def test_a_line_that_does_not_fit_leaves_nothing_of_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = Channel(tmp_path)
    channel.log({"a": 1}, step=1)
    before = channel.metrics.read_bytes()
    write, room = os.write, [5, 0]

    def write_what_fits(file: int, text: bytes) -> int:
        if not (fits := room.pop(0)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, text[:fits])

    monkeypatch.setattr(os, "write", write_what_fits)
    with pytest.raises(OSError, match="No space"):
        channel.log({"a": 2}, step=2)
    assert channel.metrics.read_bytes() == before


def test_a_request_to_stop_is_a_file(tmp_path: Path) -> None:
    channel = Channel(tmp_path)
    assert not channel.stop_requested()
    (tmp_path / "logs" / "stop").touch()
    assert channel.stop_requested()


def test_a_resumed_run_repeats_no_step_in_the_metrics_and_loses_no_line(tmp_path: Path) -> None:
    channel = Channel(tmp_path)
    for step in range(5):
        channel.log({"loss": float(step)}, step)
    with channel.metrics.open("a") as file:
        file.write('{"step": 5, "lo')  # the machine died here
    rewind(tmp_path, 2)
    kept = [json.loads(line)["step"] for line in channel.metrics.read_text().splitlines()]
    assert kept == [0, 1, 2]
    (aside,) = (tmp_path / "logs").glob("undone-*.jsonl")
    assert aside.read_text().count("\n") == 2 and aside.read_text().endswith('{"step": 5, "lo')
    rewind(tmp_path, 2)
    assert len(channel.metrics.read_text().splitlines()) == 3


def test_a_text_with_a_line_separator_of_unicode_stays_one_line(tmp_path: Path) -> None:
    channel = Channel(tmp_path)
    samples = [{"step": step, "response": "a\u2028b\x85c\x0bd 等"} for step in (1, 2)]
    channel.append(tmp_path / SAMPLES, *samples)
    rewind(tmp_path, 1)
    assert list(Tail(tmp_path / SAMPLES).new()) == samples[:1]
    assert list(lines(tmp_path / SAMPLES)) == samples[:1]
