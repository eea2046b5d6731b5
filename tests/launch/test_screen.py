"""One live line on a terminal, plain lines elsewhere; numbers are verl's."""

import contextlib
import fcntl
import io
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest

from verlaunch.launch.screen import ERASE, Screen, fit, numbers, validation_score
from verlaunch.text import duration

METRICS = {
    "critic/score/mean": 0.6104,
    "actor/reward_kl_penalty": 0.00214,
    "actor/ppo_kl": 0.5,
    "actor/pg_loss": -0.0131,
    "critic/vf_loss": 0.1,
    "actor/pg_clipfrac": 0.02,
    "actor/entropy": 2.358,
    "perf/throughput": 1234.6,
}
ALL = "reward 0.610  kl 0.0021  policy -0.013  value 0.100  clip 0.020  entropy 2.36  tok/s 1235"


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def line(self) -> str:
        """What stands on the last line."""
        return self.getvalue().rpartition("\n")[2].rpartition(ERASE)[2]


def test_a_step_shows_every_number_that_the_run_measures() -> None:
    assert "  ".join(numbers(METRICS)) == ALL


def test_what_a_run_does_not_measure_is_left_out() -> None:
    assert numbers({"critic/score/mean": 1, "critic/vf_loss": None}) == ["reward 1.000"]
    assert numbers({"actor/ppo_kl": 0.5}) == ["kl 0.5000"]


def test_validation_is_the_mean_over_data_sources() -> None:
    metrics = {"val-core/a/reward/mean@1": 0.2, "val-core/b/reward/mean@1": 0.6,
               "val-core/a/reward/best@4": 1.0, "val-aux/a/x/mean@1": 9.0}  # fmt: skip
    assert validation_score(metrics) == pytest.approx(0.4)
    assert validation_score({}) is None


def test_without_a_terminal_each_phase_and_each_step_is_one_plain_line() -> None:
    out, clock = io.StringIO(), Clock()
    screen = Screen(out, clock)
    screen.phase("starting ray")
    clock.time = 12
    screen.phase("ready", total_steps=3)
    screen.phase("validation", step=0)
    screen.metrics(0, {"step": 0, "time": 1, "val-core/m/reward/mean@1": 0.5})
    for step in (1, 2):
        clock.time += 10
        screen.phase("rollout", step=step)
        screen.phase("update", step=step)
        screen.metrics(step, METRICS)
        screen.tick()
    assert out.getvalue().splitlines() == [
        "[0s] starting Ray",
        "[12s] ready",
        "[12s] validating",
        "before training  val 0.500",
        f"step 1/3  {ALL}",
        f"step 2/3  eta 10s  {ALL}",
    ]


def test_the_live_line_names_step_activity_and_time_left() -> None:
    out, clock = Terminal(), Clock()
    screen = Screen(out, clock)
    screen.phase("loading models")
    assert out.line() == "loading models  0s"
    screen.phase("ready", total_steps=10, step=0)
    for step in (1, 2):
        screen.phase("rollout", step=step)
        clock.time += 5
        screen.metrics(step, {"critic/score/mean": 0.5})
    screen.phase("update", step=3)
    assert out.line() == "step 3/10 updating  eta 40s  reward 0.500"
    clock.time += 7
    screen.tick()
    assert out.line() == "step 3/10 updating  eta 33s  reward 0.500"
    assert "\n" not in out.getvalue()


def test_a_line_that_stays_takes_the_place_of_the_live_one() -> None:
    out = Terminal()
    screen = Screen(out, Clock())
    screen.phase("loading models")
    screen.say("note")
    assert out.getvalue().endswith(f"{ERASE}note\n")
    screen.tick()
    assert out.line() == "loading models  0s"


def test_a_live_step_stays_only_when_it_was_validated() -> None:
    out = Terminal()
    screen = Screen(out, Clock())
    screen.phase("ready", total_steps=2)
    screen.metrics(1, {"critic/score/mean": 0.5})
    screen.metrics(2, {"critic/score/mean": 0.5, "val-core/m/reward/mean@1": 1.0})
    assert out.getvalue().count("\n") == 1
    assert "step 2/2  reward 0.500  val 1.000\n" in out.getvalue()


def test_a_resumed_run_counts_from_where_it_stands() -> None:
    out, clock = io.StringIO(), Clock()
    screen = Screen(out, clock)
    screen.phase("ready", step=40, total_steps=50)
    screen.metrics(40, {"val-core/m/reward/mean@1": 0.9})
    clock.time = 100
    screen.metrics(41, METRICS)
    assert screen.eta_s() is None  # the validation was no step
    assert "before step 41  val 0.900\n" in out.getvalue()
    clock.time = 102
    screen.metrics(42, METRICS)
    assert screen.eta_s() == 16


def test_progress_is_told_from_the_first_validation_to_the_last() -> None:
    screen = Screen(io.StringIO(), Clock())
    for step, score in ((0, 0.53), (10, 0.93), (60, 0.99)):
        assert screen.progress() == "" or step > 10
        screen.metrics(step, {"val-core/m/reward/mean@1": score})
    assert screen.progress() == ("Validation score: 0.530 before training, 0.990 after step 60.")


def test_a_narrow_terminal_drops_whole_numbers() -> None:
    assert fit(["step 1/2", "reward 0.5", "kl 0.1"], 20) == "step 1/2  reward 0.5"
    assert fit(["a long activity"], 6) == "a long"


def test_durations_are_short() -> None:
    assert [duration(s) for s in (0, 59, 60, 3599, 3600, 90061)] == [
        "0s", "59s", "1m00s", "59m59s", "1h00m", "25h01m",
    ]  # fmt: skip


SHOW = """
from verlaunch.launch.screen import Screen
screen = Screen()
screen.phase("ready", total_steps=2)
screen.phase("rollout", step=1)
screen.metrics(1, {"critic/score/mean": 0.25, "perf/throughput": 100})
screen.phase("rollout", step=2)
screen.say("a line that stays")
"""


def in_terminal(code: str, columns: int) -> str:
    """What it shows in a real one."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    show = subprocess.Popen([sys.executable, "-c", code], stdout=theirs, stderr=theirs)
    os.close(theirs)
    text = ""
    with contextlib.suppress(OSError):  # how a pty says that its other end was closed
        while chunk := os.read(ours, 4096):
            text += chunk.decode()
    assert show.wait() == 0
    os.close(ours)
    return text


WORDS = """
import sys
from verlaunch.launch.screen import Screen
from verlaunch.text import row, told
words = "many words of a warning with --flag_that_stays=whole " * 3
print(row("warning", words))
Screen(sys.stdout).warn(words)
print(told("error: " + words, sys.stderr), file=sys.stderr)
"""


def test_words_are_wrapped_to_the_width_of_a_terminal_and_stay_whole() -> None:
    lines = in_terminal(WORDS, 50).split("\r\n")
    assert 40 < max(map(len, lines)) <= 50
    assert " ".join(lines).count("--flag_that_stays=whole") == 9


def test_a_program_reads_a_message_in_one_line() -> None:
    shown = subprocess.run([sys.executable, "-c", WORDS], capture_output=True, text=True)
    assert shown.stderr.count("\n") == 1 and max(map(len, shown.stdout.splitlines()[:-1])) <= 88


def test_a_real_terminal_gets_one_line_of_its_own_width() -> None:
    text = in_terminal(SHOW, 40)
    assert text.count("\n") == 1 and text.endswith("a line that stays\r\n")
    assert "step 2/2 generating  0s  reward 0.250" in text
    assert "tok/s" not in text  # does not fit


def test_a_pipe_gets_no_control_characters() -> None:
    text = subprocess.run([sys.executable, "-c", SHOW], capture_output=True, check=True).stdout
    assert b"\x1b" not in text and b"\r" not in text
    assert b"step 1/2  reward 0.250  tok/s 100\na line that stays\n" in text


def test_a_reader_that_goes_away_does_not_end_the_run() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    with os.fdopen(theirs, "w") as out:
        screen = Screen(out)
        screen.say("nobody reads this")
        screen.say("nor this")
        print("nor what comes later", file=out)
    assert not screen.live
