"""Starts a run, shows it, and ends it: the launcher's side of the guardian and the driver.

    code = run(Launch(...), Screen())

Ctrl-C asks the run to finish its step, save and stop. SIGTERM and SIGHUP leave less time: a rollout
is given up, an update is finished, the last trained step is saved, all within the grace. A second
signal stops it at once. Everything that Ray, vLLM and verl print goes to the log; their errors are
shown too, once each.
"""

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from verlaunch.cluster.leading import Leading
from verlaunch.launch.head_start import Early, new_log
from verlaunch.launch.screen import Screen
from verlaunch.launch.view import View
from verlaunch.launch.watchdog import Watchdog, stuck
from verlaunch.machine import processes, run_guarded
from verlaunch.record.channel import FULL, STOP_AFTER_STEP, STOP_SOON
from verlaunch.record.report.recorder import Recorder

POLL_S = 0.1
DRIVER = (sys.executable, "-m", "verlaunch.engine.processes.driver")
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
    place: dict[str, Any] | None = None  # of several machines: cluster.place.Place
    ray_address: str = ""  # of a cluster that is not ours


def run(
    launch: Launch,
    screen: Screen,
    verbose: bool = False,
    driver: Sequence[str] = DRIVER,
    nodes: Leading | None = None,
    begun: Early | None = None,
) -> int:
    """Exit code: 0, 128 + the signal that asked to stop, else the driver's.

    `driver` gets the path of launch.json. `nodes`: the other machines of the run. `begun`: what
    stands in the driver's place, from earlier.
    """
    record = Path(launch.record)
    logs = record / "logs"
    stop, full = logs / "stop", record / FULL
    stop.unlink(missing_ok=True)
    full.unlink(missing_ok=True)
    facts = logs / "launch.json"
    facts.write_text(json.dumps(asdict(launch)))
    log = begun.log if begun else new_log(record)
    view = View(screen, record, log, verbose, launch.config, launch.hardware)
    recorder = Recorder(record)
    env = nodes.environment() if nodes else {}
    command = [*driver, str(facts.resolve())]
    started = begun.train(facts) if begun else run_guarded.run(command, log, record, env)
    with stop_signals() as asked:
        try:
            with started as guardian:
                watchdog = Watchdog(launch.hang_timeout_s)
                followed = _Followed(guardian, view, recorder, watchdog, nodes)
                _follow(followed, asked, stop, launch.grace_s)
        finally:
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


@dataclass(frozen=True)
class _Followed:
    """A run that goes on, and who looks at it. nodes: its other machines."""

    guardian: subprocess.Popen
    view: View
    recorder: Recorder
    watchdog: Watchdog
    nodes: Leading | None

    def update(self) -> None:
        self.view.update()
        self.recorder.update()
        self.watchdog.look(self.view.signs())

    def trouble(self) -> bool:
        """Whether the run has to be ended, which the view has heard then."""
        if self.nodes and (trouble := self.nodes.trouble()) and not self.view.is_finished:
            self.view.lost(trouble)
            return True
        if self.watchdog.is_hung:
            who = stuck(processes.descendants(self.guardian.pid))
            self.view.hung(self.watchdog.limit_s, who)
        return self.watchdog.is_hung


def _follow(run: _Followed, asked: list[int], stop: Path, grace_s: float) -> None:
    """Until the guardian has ended, or should be."""
    view, until, told = run.view, float("inf"), 0
    while run.guardian.poll() is None:
        due = len(asked) > told
        run.update()  # after the signal, so that it is known how far the run was
        passed_on = run.nodes.look() if run.nodes else []
        asked += [] if asked else passed_on  # a scheduler tells every machine at once
        if run.trouble():
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
