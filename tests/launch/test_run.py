"""The launcher's side of a run, with a small real process in the place of verl's driver."""

import io
import os
import signal
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from verlaunch.errors import UserError
from verlaunch.launch.log import Errors, plain
from verlaunch.launch.run import Launch, run, stop_signals
from verlaunch.launch.screen import Screen
from verlaunch.paths import LONGEST_TEMP, temp_dir
from verlaunch.record.report.recorder import Recorder

BEGIN = """
import json, os, signal, sys, time
from pathlib import Path
from verlaunch.record.channel import Channel
launch = json.loads(Path(sys.argv[-1]).read_text())
launcher = int(sys.argv[1])
channel = Channel(Path(launch["record"]))

def step(number):
    channel.phase("rollout", step=number)
    channel.log({"critic/score/mean": number / 10}, step=number)

def wait_for_stop():
    for _ in range(1200):
        if channel.stop_requested():
            return
        time.sleep(0.05)
    raise SystemExit("nobody asked to stop")

channel.phase("loading models")
"""
TRAINS = """
channel.phase("ready", total_steps=2)
print("(Runner pid=7) a line of verl's", flush=True)
step(1); step(2)
channel.event("saved", step=2)
channel.event("finished", step=2)
"""
BREAKS = """
print("(WorkerDict pid=7) ValueError: first reason", flush=True)
print("(WorkerDict pid=8) ValueError: first reason", flush=True)
channel.event("saved", step=1)
raise RuntimeError("the last reason")
"""
GIVES_UP = """
channel.event("failed", reason="the reward failed on 30% of the last 100 responses")
channel.event("finished", step=3)
"""
SAVES_WHEN_ASKED = """
step(1)
os.kill(launcher, signal.SIGINT)
wait_for_stop()
channel.event("saved", step=1)
channel.event("finished", step=1)
"""
HANGS_WHEN_ASKED = """
step(1)
os.kill(launcher, signal.SIGINT)
wait_for_stop()
os.kill(launcher, signal.SIGTERM)
time.sleep(600)
"""
SAVES_WHEN_TOLD = """
step(1)
os.kill(launcher, signal.SIGTERM)
wait_for_stop()
assert channel.stop_requested() == "soon"
channel.event("saved", step=1)
"""
IGNORES_SIGTERM = """
step(1)
channel.event("saved", step=1)
os.kill(launcher, signal.SIGHUP)
time.sleep(600)
"""
LOSES_ONE = """
step(1)
channel.event("saved", step=1)
channel.event("died", process="training worker", pid=812)
raise SystemExit(1)
"""
LOSES_ITS_GUARDIAN = """
import subprocess
flee = "import subprocess, sys; subprocess.Popen(sys.argv[1:], start_new_session=True, env={})"
sleep = [sys.executable, "-c", "import time; time.sleep(600)", launch["record"]]
subprocess.run([sys.executable, "-c", flee, *sleep])
os.kill(os.getppid(), signal.SIGKILL)
time.sleep(600)
"""
IS_KILLED = """
os.kill(os.getpid(), signal.SIGKILL)
"""
IS_STOPPED_WHILE_LOADING = """
os.kill(launcher, signal.SIGINT)
time.sleep(600)
"""
HANGS = """
step(1)
channel.event("saved", step=1)
channel.phase("update", step=2)
time.sleep(600)
"""
SHOWS_ITS_TEMP = """
print("temp", os.environ["VERLAUNCH_TEMP"], os.environ["TMPDIR"], flush=True)
channel.event("finished", step=0)
"""


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They would take most of the time; test_report_recorder.py writes them."""
    monkeypatch.setattr(Recorder, "_write", lambda recorder: None)


def launched(
    folder: Path, script: str, verbose: bool = False, **launch_s: float
) -> tuple[int, str]:
    """Exit code and screen."""
    (folder / "logs").mkdir(exist_ok=True)
    launch = Launch({}, str(folder), "cpu", 1, 1, 1, 1, **launch_s)
    out = io.StringIO()
    driver = [sys.executable, "-c", BEGIN + script, str(os.getpid())]
    return run(launch, Screen(out), verbose, driver), out.getvalue()


def test_a_run_that_finishes_shows_its_steps_and_returns_0(tmp_path: Path) -> None:
    code, screen = launched(tmp_path, TRAINS)
    assert code == 0
    assert "loading models" in screen
    assert "step 1/2  reward 0.100" in screen and "step 2/2" in screen
    assert "a line of verl's" not in screen
    (log,) = (tmp_path / "logs").glob("train-*.log")
    assert "a line of verl's" in log.read_text()


def test_verbose_shows_the_log_without_rays_prefix(tmp_path: Path) -> None:
    _, screen = launched(tmp_path, TRAINS, verbose=True)
    assert "a line of verl's" in screen.splitlines()


def test_a_failure_shows_each_error_once_with_phase_and_log(tmp_path: Path) -> None:
    code, screen = launched(tmp_path, BREAKS)
    (log,) = (tmp_path / "logs").glob("train-*.log")
    assert code == 1
    assert screen.count("first reason") == 1
    assert f"! ValueError: first reason  (while loading models; {log})" in screen
    assert "The run ended while loading models (exit code 1). Step 1 is saved" in screen
    assert "\n  RuntimeError: the last reason\n" in screen and "docs/failures.md" in screen
    assert screen.endswith(f"\nLog: {log}\n")
    assert "Traceback" not in screen and "Traceback" in log.read_text()


def test_a_run_that_gives_up_says_why_and_fails(tmp_path: Path) -> None:
    code, screen = launched(tmp_path, GIVES_UP)
    assert code == 1 and "Stopped while loading models: the reward failed on 30%" in screen


def test_a_run_without_progress_is_ended_with_phase_and_what_is_saved(tmp_path: Path) -> None:
    code, screen = launched(tmp_path, HANGS, hang_timeout_s=5.0)
    assert code == 1
    assert "Stopped: no progress for 5s while updating. Step 1 is saved; the same" in screen
    assert "--hang_timeout" in screen


def test_ctrl_c_lets_the_step_finish_and_save(tmp_path: Path) -> None:
    code, screen = launched(tmp_path, SAVES_WHEN_ASKED)
    assert code == 130
    assert "Stopping after this step, with a checkpoint." in screen
    assert "Step 1 is saved; the same command continues from there." in screen
    assert not (tmp_path / "logs" / "stop").exists()  # or the next run would stop as well


def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    code, screen = launched(tmp_path, HANGS_WHEN_ASKED)
    assert code == 130 and "Stopping at once." in screen and "Nothing new was saved." in screen


def test_sigterm_saves_and_shows_its_number(tmp_path: Path) -> None:
    code, screen = launched(tmp_path, SAVES_WHEN_TOLD, grace_s=60)
    assert code == 143
    assert "SIGTERM: saving the last trained step within 60 s, without an export." in screen
    assert "Stopped. Step 1 is saved; the same command continues from there." in screen
    assert not (tmp_path / "logs" / "stop").exists()


def test_the_grace_is_kept_to(tmp_path: Path) -> None:
    code, screen = launched(tmp_path, IGNORES_SIGTERM, grace_s=0.5)
    assert code == 129 and "Not done within 0.5 s (--grace): stopping at once." in screen
    assert "Step 1 is saved; the same command continues from there." in screen


def test_a_death_is_told_with_its_phase(tmp_path: Path) -> None:
    code, screen = launched(tmp_path, LOSES_ONE)
    assert code == 1
    assert "The training worker (process 812) died while generating. Step 1 is saved;" in screen


def test_a_killed_driver_is_told(tmp_path: Path) -> None:
    code, screen = launched(tmp_path, IS_KILLED)
    assert (
        code == 137 and "The driver process was killed while loading models, by SIGKILL" in screen
    )


def test_what_a_killed_guardian_leaves_is_ended(tmp_path: Path) -> None:
    code, screen = launched(tmp_path, LOSES_ITS_GUARDIAN)
    assert code == 137 and "The guardian process was killed" in screen
    left = [
        p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in (p.info["cmdline"] or [])
    ]
    assert left == []
    assert not (tmp_path / "logs" / "temp").exists()


def test_ctrl_c_before_training_stops_at_once(tmp_path: Path) -> None:
    code, screen = launched(tmp_path, IS_STOPPED_WHILE_LOADING)
    assert code == 130 and "after this step" not in screen


def test_a_second_run_in_the_folder_does_not_show_the_first_ones_steps(tmp_path: Path) -> None:
    launched(tmp_path, TRAINS)
    _, screen = launched(tmp_path, GIVES_UP)
    assert "step 1/2" not in screen
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2


def test_signals_that_were_ignored_stay_so_and_handlers_come_back() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    interrupt = signal.getsignal(signal.SIGINT)
    try:
        with stop_signals() as asked:
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)
        assert asked == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGINT) == interrupt
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_temporary_folder_too_long_for_sockets_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 90)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    assert temp_dir() == Path("/tmp")
    _, screen = launched(tmp_path, SHOWS_ITS_TEMP, verbose=True)
    (line,) = [line for line in screen.splitlines() if line.startswith("temp ")]
    _, temp, tmpdir = line.split()
    assert temp.startswith("/tmp/verlaunch-") and tmpdir == temp
    assert not Path(temp).exists()


def test_a_short_temporary_folder_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(prefix="v", dir="/tmp") as short:
        assert len(short) <= LONGEST_TEMP
        monkeypatch.setenv("TMPDIR", short)
        assert temp_dir() == Path(short)


@pytest.mark.parametrize("name", ["missing", "file"])
def test_a_temporary_folder_that_cannot_be_used_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TMPDIR", str(tmp_path / name))
    with pytest.raises(UserError, match=f"TMPDIR={tmp_path / name} cannot be used"):
        temp_dir()


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("\x1b[36m(Runner pid=12)\x1b[0m text", "text"),
        ("(pid=12) text", "text"),
        ("\x1b[36m(vLLMHttpServer pid=1)\x1b[0m (EngineCore pid=2) text", "text"),
        ("(pid=12, ip=127.0.0.1)\ttext", "text"),
        ("Loading:  10%\rLoading: 100%", "Loading: 100%"),
        ("a \x07bell", "a bell"),
        ("(not a prefix) text", "(not a prefix) text"),
    ],
)
def test_log_lines_lose_colours_prefixes_and_progress_bars(line: str, shown: str) -> None:
    assert plain(line) == shown


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("ValueError: x", True),
        ("ray.exceptions.RayTaskError(ValueError): ray::Runner.run()", False),
        ("torch.OutOfMemoryError: CUDA out of memory.", True),
        ("ERROR 11-20 12:00:00 [core.py:1] EngineCore failed", True),
        ("2026-11-20 12:00:00,000\tERROR worker.py:1 -- died", True),
        ("UserWarning: torchtitan engine is not available: ModuleNotFoundError: x", False),
        ("errors are fine", False),
        ("INFO no error", False),
        ("ERROR 11-20 12:00:00 [core.py:1] Traceback (most recent call last):", False),
        ("ERROR 11-20 12:00:00 [core.py:1]     raise ValueError(", False),
        ("ERROR 11-20 12:00:00 [core.py:1] ValueError: no cache", True),
        ("ERROR 11-30 22:12:15 [async_llm.py:744] AsyncLLM output_handler failed.", False),
        (
            "ERROR 11-30 22:12:15 [async_llm.py:744] vllm.v1.engine.exceptions.EngineDeadError: "
            "EngineCore encountered an issue.",
            False,
        ),
    ],
)
def test_which_lines_are_errors(line: str, shown: bool) -> None:
    assert Errors().is_news(line) is shown


def test_errors_that_differ_in_numbers_are_one_kind() -> None:
    errors = Errors()
    news = [errors.is_news(f"KeyError: row {i} of 0x7f{i}aabbcc") for i in range(5)]
    assert news == [True, False, False, False, False]
    assert errors.last == "KeyError: row 4 of 0x7f4aabbcc"
