"""Starts a run, shows it, and ends it: the launcher's side of the guardian and the driver.

    code = run(Launch(...), Screen())

Ctrl-C asks the run to finish its step, save and stop. SIGTERM and SIGHUP leave less time: a rollout
is given up, an update is finished, the last trained step is saved, all within the grace. A second
signal stops it at once. Everything that Ray, vLLM and verl print goes to the log; their errors are
shown too, once each.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from verlaunch import leftovers, processes
from verlaunch.paths import temp_dir
from verlaunch.record import FULL, STOP_AFTER_STEP, STOP_SOON
from verlaunch.report.recorder import Recorder
from verlaunch.screen import Screen
from verlaunch.view import View
from verlaunch.watchdog import Watchdog, stuck

POLL_S = 0.1
DRIVER = (sys.executable, "-m", "verlaunch.engine.driver")
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Launch:
    """What the driver needs, as plain data; written to logs/launch.json."""

    config: dict[str, Any]
    record: str
    hardware: str
    ray_cpus: int
    ray_gpus: int
    object_store_bytes: int
    rollout_workers: int
    export: str | None = None
    hang_timeout_s: float = 1800.0  # without any progress
    grace_s: float = 120.0  # from SIGTERM or SIGHUP to the end at the latest
    training: dict[str, Any] = field(default_factory=dict)  # training.TrainerSettings
    reward: dict[str, Any] = field(default_factory=dict)  # rewards.spec.RewardSpec
    reward_keys: dict[str, list[str]] = field(default_factory=dict)  # of each part
    reward_told: list[str] = field(default_factory=list)  # parts whose notes the user has seen
    reward_gpus: int = 0  # cards that the reward model has for itself
    references: list[dict[str, Any]] = field(default_factory=list)  # rewards.part.Row, answered


def run(
    launch: Launch, screen: Screen, verbose: bool = False, driver: Sequence[str] = DRIVER
) -> int:
    """Exit code: 0, 128 + the signal that asked to stop, else the driver's.

    `driver` gets the path of launch.json.
    """
    logs = Path(launch.record) / "logs"
    stop, full = logs / "stop", Path(launch.record) / FULL
    stop.unlink(missing_ok=True)
    full.unlink(missing_ok=True)
    facts = logs / "launch.json"
    facts.write_text(json.dumps(asdict(launch)))
    log = logs / time.strftime("train-%Y%m%d-%H%M%S.log")
    log.touch()
    view = View(screen, Path(launch.record), log, verbose, launch.config, launch.hardware)
    recorder = Recorder(Path(launch.record))
    others = processes.adopted()  # before the run has any
    with stop_signals() as asked:
        guardian = _start([*driver, str(facts.resolve())], log, Path(launch.record))
        try:
            watchdog = Watchdog(launch.hang_timeout_s)
            _follow(view, recorder, guardian, asked, stop, watchdog, launch.grace_s)
        finally:
            _end(guardian, Path(launch.record), others)
            stop.unlink(missing_ok=True)
            full.unlink(missing_ok=True)
        code = view.conclude(guardian.returncode, asked[0] if asked else None)
        if report := recorder.finish(code, view.why or view.errors.last, in_a_hurry=bool(asked)):
            screen.say(f"Report: {report}")
        return code


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """The signals that asked to stop, as they come. What was ignored before (nohup) stays so."""
    asked: list[int] = []
    heeded = [n for n in STOP_SIGNALS if signal.getsignal(n) != signal.SIG_IGN]
    before = {n: signal.signal(n, lambda n, frame: asked.append(n)) for n in heeded}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _start(command: Sequence[str], log: Path, folder: Path) -> subprocess.Popen:
    temp = temp_dir()
    processes.become_subreaper()  # for what a killed guardian leaves
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "verlaunch.guardian", str(temp / leftovers.OURS), *command],
            stdin=subprocess.PIPE,  # its end of file tells the guardian that we are gone
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a terminal's Ctrl-C is ours to handle
            env={**os.environ, **leftovers.mark(folder)},
        )


def _follow(
    view: View,
    recorder: Recorder,
    guardian: subprocess.Popen,
    asked: list[int],
    stop: Path,
    watchdog: Watchdog,
    grace_s: float,
) -> None:
    """Until the guardian has ended, or should be."""
    until = float("inf")
    told = 0
    while guardian.poll() is None:
        due = len(asked) > told
        view.update()  # after the signal, so that it is known how far the run was
        recorder.update()
        watchdog.look(view.signs())
        if watchdog.is_hung:
            view.hung(watchdog.limit_s, stuck(processes.descendants(guardian.pid)))
            return
        if due:
            told += 1
            if told > 1 or not view.training:
                view.screen.say("Stopping at once.")
                return
            until = _ask_to_stop(view, asked[0], stop, grace_s)
        if time.monotonic() > until:
            view.screen.say(f"Not done within {grace_s:g} s (--grace): stopping at once.")
            return
        time.sleep(POLL_S)


def _ask_to_stop(view: View, number: int, stop: Path, grace_s: float) -> float:
    """The moment when patience ends."""
    if number == signal.SIGINT:
        _request(stop, STOP_AFTER_STEP)
        view.screen.say("Stopping after this step, with a checkpoint. Again: at once.")
        return float("inf")
    _request(stop, STOP_SOON)
    view.screen.say(
        f"{signal.Signals(number).name}: saving the last trained step within {grace_s:g} s, "
        "without an export. Again: at once."
    )
    return time.monotonic() + grace_s


def _request(stop: Path, text: str) -> None:
    """On a full disk an empty file, which asks to stop as well."""
    with contextlib.suppress(OSError):
        stop.write_text(text)


def _end(guardian: subprocess.Popen, folder: Path, others: list[int]) -> None:
    if guardian.poll() is None:
        guardian.terminate()
    guardian.wait()
    assert guardian.stdin is not None
    guardian.stdin.close()
    # Nothing, unless the guardian was killed. What is below it has sessions that are not ours.
    processes.end_all(lambda: [pid for pid in processes.adopted() if pid not in others])
    leftovers.end(folder)
