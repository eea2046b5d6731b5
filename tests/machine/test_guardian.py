"""Nothing outlives a run: real processes that fled to sessions of their own, and real signals."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

# Starts a process in a session of its own, which starts another, and ends: an orphan is left.
FLEE = """
import subprocess, sys, time
code = sys.argv[1]
subprocess.Popen([sys.executable, "-c", code, "orphan", sys.argv[2]], start_new_session=True)
"""
SLEEP = "import time; time.sleep(600)"
STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(2):
    subprocess.run([sys.executable, "-c", sys.argv[1], sys.argv[2], sys.argv[3]])
open(os.path.join(os.environ["VERLAUNCH_TEMP"], "socket"), "w").close()
print("up", flush=True)
time.sleep(600)
"""
# Holds the guardian as the launcher does: by a pipe to its standard input.
LAUNCHER = """
import subprocess, sys, time
guardian = subprocess.Popen([sys.executable, "-m", "verlaunch.machine.guardian", *sys.argv[1:]],
                            stdin=subprocess.PIPE, start_new_session=True)
time.sleep(600)
"""


def temporary(folder: Path) -> list[Path]:
    """What a run has left there, but for compiled kernels, which serve the next one."""
    return [path for path in folder.iterdir() if not path.name.startswith("torchinductor_")]


def until(true: Callable[[], bool]) -> None:
    """Waits for other processes; a generous limit, for a loaded machine."""
    for _ in range(1200):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen")


def marked(mark: str) -> list[int]:
    """Living processes with `mark` among their words, ourselves left out."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        alive = process.info["status"] != psutil.STATUS_ZOMBIE
        if alive and mark in (process.info["cmdline"] or []) and process.pid != os.getpid():
            found.append(process.pid)
    return found


def guard(tmp_path: Path, *command: str, **options: object) -> subprocess.Popen:
    words = [sys.executable, "-m", "verlaunch.machine.guardian", str(tmp_path / "run-"), *command]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)  # type: ignore[call-overload]


def stubborn(mark: str) -> list[str]:
    return [sys.executable, "-c", STUBBORN, FLEE, SLEEP, mark]


def is_up(process: subprocess.Popen, tmp_path: Path, mark: str) -> None:
    assert process.stdout is not None and process.stdout.readline() == b"up\n"
    until(lambda: len(marked("orphan")) >= 2)
    assert len(marked(mark)) >= 3 and len(list(tmp_path.glob("run-*/socket"))) == 1


@pytest.mark.parametrize("code", [0, 3, 255])
def test_the_commands_exit_code_passes_through(tmp_path: Path, code: int) -> None:
    process = guard(tmp_path, sys.executable, "-c", f"raise SystemExit({code})")
    assert process.wait() == code
    assert temporary(tmp_path) == []


def test_a_command_that_was_killed_shows_its_signal(tmp_path: Path) -> None:
    kill = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert guard(tmp_path, sys.executable, "-c", kill).wait() == 128 + signal.SIGKILL


def test_orphans_end_with_the_command(tmp_path: Path) -> None:
    process = guard(tmp_path, sys.executable, "-c", FLEE, SLEEP, str(tmp_path))
    assert process.wait() == 0
    assert marked(str(tmp_path)) == []


def test_sigterm_ends_even_those_that_ignore_it(tmp_path: Path) -> None:
    process = guard(tmp_path, *stubborn(str(tmp_path)))
    is_up(process, tmp_path, str(tmp_path))
    process.terminate()
    assert process.wait() == 128 + signal.SIGKILL
    assert marked(str(tmp_path)) == [] and temporary(tmp_path) == []


def test_a_killed_launcher_takes_everything_with_it(tmp_path: Path) -> None:
    words = [str(tmp_path / "run-"), *stubborn(str(tmp_path))]
    launcher = subprocess.Popen([sys.executable, "-c", LAUNCHER, *words], stdout=subprocess.PIPE)
    is_up(launcher, tmp_path, str(tmp_path))
    launcher.kill()
    launcher.wait()
    until(lambda: not marked(str(tmp_path)) and not temporary(tmp_path))


def test_a_command_that_does_not_exist_leaves_no_folder(tmp_path: Path) -> None:
    process = guard(tmp_path, str(tmp_path / "missing"), stderr=subprocess.PIPE)
    _, error = process.communicate()
    assert process.returncode == 1 and b"FileNotFoundError" in error
    assert temporary(tmp_path) == []


def test_the_command_runs_by_a_path_without_spaces(tmp_path: Path) -> None:
    venv = tmp_path / "a folder" / "venv"
    venv.parent.mkdir()
    venv.symlink_to(sys.prefix)
    python = str(venv / "bin" / "python")
    command = [python, "-c", "import sys, verlaunch; print(sys.executable)"]
    guardian = [python, "-m", "verlaunch.machine.guardian", "/tmp/verlaunch-"]
    running = subprocess.Popen(
        [*guardian, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    ran_by = running.stdout.read().strip()
    assert running.wait() == 0
    assert " " not in ran_by and ran_by.endswith("/bin/python")
