"""Who is told what, and when: a healthy run nothing, every other one once, a resumed one alike."""

import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.alert_history import Line, names, recorded_demo, run, told
from verlaunch.launch.screen import Screen
from verlaunch.launch.view import View
from verlaunch.record import alerts as alerts_room
from verlaunch.record.alerts.watch import CHECKS, NAMES, Alerts
from verlaunch.record.channel import ALERTS, Channel, Tail, rewind

FLAGS = Path("configs/flags.yaml")
KL = "actor/reward_kl_penalty"
numbers_or_not = st.one_of(
    st.none(), st.text(max_size=3), st.lists(st.integers(), max_size=2), st.just(10**400),
    st.floats(), st.integers(-5, 5),
)  # fmt: skip


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([4, 16, 256]))
def test_a_healthy_run_is_left_in_peace(seed: int, batch: int) -> None:
    assert names(run(200, seed=seed, batch=batch)) == []


def test_the_demo_is_left_in_peace_as_it_learns() -> None:
    assert told(recorded_demo()) == []


def test_the_choices_of_stop_on_are_the_names_of_the_alerts() -> None:
    groups = yaml.safe_load(FLAGS.read_text())
    flags = [flag for group in groups for flag in group["flags"]]
    (stop_on,) = [flag for flag in flags if flag["name"] == "stop_on"]
    assert sorted(stop_on["choices"]) == sorted(NAMES)


def test_every_flag_that_an_alert_names_exists() -> None:
    groups = yaml.safe_load(FLAGS.read_text())
    known = {flag["name"] for group in groups for flag in group["flags"]}
    room = Path(alerts_room.__file__).parent
    words = " ".join(file.read_text() for file in room.glob("*.py")).replace('"', " ").split()
    named = {word[2:].strip(".,:;()") for word in words if word.startswith("--")}
    assert named and named <= known


def test_an_alert_that_lasts_is_told_once() -> None:
    assert names(run(100, {KL: 0.5})) == ["kl"]


def test_an_alert_that_went_away_and_came_back_is_told_again() -> None:
    def swings(step: int) -> float:
        return 0.01 if 30 <= step < 60 else 0.5

    first, second = told(run(100, {KL: swings}))
    assert (first.name, second.name) == ("kl", "kl")
    assert first.step == 6 and second.step > 60


def test_a_number_that_swings_about_its_threshold_is_one_alert() -> None:
    assert names(run(200, {KL: lambda step: 0.3 if step // 4 % 2 else 0.01})) == ["kl"]


def test_what_holds_stays_known_after_it_was_told() -> None:
    alerts = Alerts()
    for line in run(40, {KL: 0.5}):
        alerts.look(line["step"], line)
    assert [alert.name for alert in alerts.now] == ["kl"]
    assert alerts.now[0].step == 40


def test_after_a_resume_nothing_is_told_twice_and_nothing_waits() -> None:
    lines = run(60, {KL: lambda step: 0.01 if 10 < step < 16 or 25 < step < 50 else 0.5})
    assert len(told(lines)) == 2
    for cut in range(1, 60):
        as_written = [json.loads(json.dumps(line)) for line in lines[:cut]]
        resumed = Alerts(as_written)
        after = [a for line in lines[cut:] for a in resumed.look(line["step"], line)]
        assert after == [alert for alert in told(lines) if alert.step > cut]


def test_a_validation_before_training_is_no_step() -> None:
    validation = {"step": 0, "time": 1.0, "val-core/math/reward/mean@1": 0.2}
    assert told([validation, *run(9, {KL: 0.5})])[0].step == 6


def test_a_check_that_fails_is_logged_and_spares_the_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(CHECKS, "entropy", lambda series: 1 / 0)  # type: ignore[arg-type]
    assert names(run(10, {KL: 0.5})) == ["kl"]
    assert "the alert entropy failed on step 1" in caplog.text


@settings(max_examples=60, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(sorted(run(1)[0])), numbers_or_not), max_size=8))
def test_whatever_the_metrics_hold_training_hears_nothing_of_it(strange: list[Line]) -> None:
    alerts, lines = Alerts(), run(60)
    for step, line in enumerate(lines, 1):
        odd: dict[str, Any] = strange[step % len(strange)] if strange else {}
        alerts.look(step, {**line, **odd})


def test_the_screen_shows_an_alert_on_a_line_of_its_own(tmp_path: Path) -> None:
    log, out = tmp_path / "train.log", io.StringIO()
    log.touch()
    view = View(Screen(out), tmp_path, log)
    (alert,) = told(run(20, {KL: 0.5}))
    Channel(tmp_path).alert(alert)
    view.update()
    view.update()
    assert out.getvalue() == f"  ! {alert.sentence}\n"


def test_alerts_reach_the_record_and_are_rewound_with_their_steps(tmp_path: Path) -> None:
    channel = Channel(tmp_path)
    for alert in told(run(20, {KL: 0.5, "actor/grad_norm": lambda s: math.nan if s == 12 else 1})):
        channel.alert(alert)
    lines = list(Tail(tmp_path / ALERTS).new())
    assert [(line["step"], line["name"]) for line in lines] == [(6, "kl"), (12, "nan")]
    assert lines[1]["value"] is None and "actor/grad_norm" in lines[1]["sentence"]
    events = list(Tail(tmp_path / "logs" / "events.jsonl").new())
    assert [event["sentence"] for event in events] == [line["sentence"] for line in lines]
    rewind(tmp_path, 10)
    assert [line["step"] for line in Tail(tmp_path / ALERTS).new()] == [6]
