"""Turns what a run writes (events, metrics, log) into what the screen shows, and into an exit code.

    view = View(Screen(), record, log)
    view.update()                      # as often as wanted
    code = view.conclude(0)

Left out on purpose: how a line looks (screen.py), and which log lines matter (log.py).
"""

from collections import deque
from pathlib import Path
from typing import Any

from verlaunch.launch.failures.ended import Ended, Explanation, kernel_kills
from verlaunch.launch.failures.explain import explain
from verlaunch.launch.log import Errors, plain
from verlaunch.launch.screen import Screen
from verlaunch.machine import disk
from verlaunch.machine.processes import by_signal
from verlaunch.record.channel import EVENTS, FULL, METRICS, Tail, heartbeat
from verlaunch.text import duration

KEPT = ("finished", "failed", "saved", "died")
SHOWN = 300  # characters of an error
REMEMBERED = 5000  # lines of log, for the reason of a failure
UNKNOWN = "This failure is not in docs/failures.md. ./train.sh doctor checks the installation."


class View:
    """`record`: the run's folder. Lines that were there before belong to an earlier run.

    `config` is verl's and `hardware` the profile, for what a failed run is told to try next.
    """

    def __init__(
        self,
        screen: Screen,
        record: Path,
        log: Path,
        verbose: bool = False,
        config: dict[str, Any] | None = None,
        hardware: str = "",
    ) -> None:
        self.screen, self.verbose, self.record = screen, verbose, record
        self.config, self.hardware = config or {}, hardware
        self.log, self.errors = Tail(log, from_end=True), Errors()
        self.lines: deque[str] = deque(maxlen=REMEMBERED)  # since the last finished step
        self.kills_before = kernel_kills()
        self.why = ""  # the run failed, in one sentence
        self.waits_for: Explanation | None = None  # of a run that hangs
        self.events = Tail(record / EVENTS, from_end=True)
        self.metrics = Tail(record / METRICS, from_end=True)
        self.phase = "starting"
        self.training = False
        self.heard = 0  # events so far
        self.is_full = False  # the disk
        self.told: dict[str, dict[str, Any]] = {}  # the newest event of each kind in KEPT

    def update(self) -> None:
        self._look_at_disk()
        # Events first: an error is told with the phase that it came from.
        for event in self.events.new():
            self._event(event)
        for metrics in self.metrics.new():
            self.screen.metrics(metrics["step"], metrics)
            self.lines.clear()  # no error before the end of a step has ended the run
        for line in (plain(each.decode(errors="replace")) for each in self.log.lines()):
            self.lines.append(line)
            is_news = self.errors.is_news(line)
            if self.verbose:
                self.screen.say(line)
            elif is_news:
                self.screen.say(f"  ! {line[:SHOWN]}  (while {self.phase}; {self.log.path})")
        self.screen.tick()

    def _look_at_disk(self) -> None:
        """A full one has no room for an event."""
        is_full = (self.record / FULL).exists()
        if is_full and not self.is_full:
            self.screen.warn(disk.full(self.record))
        self.is_full = is_full

    def signs(self) -> tuple[Any, ...]:
        """What changes while the run gets on; see watchdog.py. Starting shows in the log only."""
        starting = 0 if self.training else self.log.path.stat().st_size
        return self.heard, heartbeat(self.record), starting

    def hung(self, limit_s: float, stuck: list[str]) -> None:
        why = f": {'; '.join(stuck)}" if stuck else ""
        self.told["failed"] = {
            "reason": f"no progress for {duration(limit_s)} while {self.phase}{why}. "
            f"{self._saved()} A run that is only slow needs a longer --hang_timeout.",
            "code": 1,
        }
        self.waits_for = self._explanation(0)  # before the end of the run adds errors of its own

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do but to stop Ray."""
        return "finished" in self.told

    def lost(self, trouble: str) -> None:
        """`trouble`: of another machine of the run, as the beginning of a sentence."""
        self.told["failed"] = {"reason": f"{trouble}. {self._saved()}", "code": 1}

    def _event(self, event: dict[str, Any]) -> None:
        self.heard += 1
        kind = event["event"]
        if kind == "phase":
            self.screen.phase(event["phase"], event.get("step"), event.get("total_steps"))
            self.phase = self.screen.activity
            self.training = self.training or event["phase"] == "rollout"
        elif kind == "reward":
            for note in event["notes"]:
                self.screen.say(f"  reward: {note}")
        elif kind == "disk":
            self.screen.warn(event["text"])
        elif kind == "alert":
            self.screen.warn(event["sentence"])
        elif kind in KEPT:
            self.told[kind] = event

    def conclude(self, code: int, asked: int | None = None) -> int:
        """Says how the run ended. `code`: the guardian's, negative when it was killed itself.

        Exit code: 0; 128 + `asked`, the signal that asked to stop; else a failure's.
        """
        self.update()
        if "failed" in self.told:
            reason = self.told["failed"]["reason"]
            when = "" if f"while {self.phase}" in reason else f" while {self.phase}"
            self.screen.say(f"Stopped{when}: {reason}")
            if self.waits_for is not None:
                self._say(self.waits_for.text())
            self.screen.say(f"Log: {self.log.path}")
            return self.told["failed"].get("code") or code or 1
        if self.screen.progress():
            self.screen.say(self.screen.progress())
        if asked is not None:
            self.screen.say(f"Stopped. {self._saved()}")
            return 128 + asked
        if "finished" in self.told and code == 0:
            return 0
        self.screen.say(f"{self._end(code)} {self._saved()}")
        self._say(self._reason(code))
        self.screen.say(f"Log: {self.log.path}")
        return 128 - code if code < 0 else code or 1

    def _say(self, lines: list[str]) -> None:
        for line in lines:
            self.screen.say(f"  {line}")

    def _reason(self, code: int) -> list[str]:
        """The kind of failure and what to try, where it is known; else the last error."""
        if explanation := self._explanation(code):
            self.why = explanation.cause
            return explanation.text()
        self.why = self.errors.last
        last = [self.why[:SHOWN]] if self.why and "died" not in self.told else []
        return [*last, UNKNOWN]

    def _explanation(self, code: int) -> Explanation | None:
        return explain(
            Ended(
                lines=list(self.lines),
                phase=self.phase,
                died=self.told.get("died"),
                exit_code=code,
                config=self.config,
                hardware=self.hardware,
                log=str(self.log.path),
                kernel_kills=kernel_kills() - self.kills_before,
            )
        )

    def _end(self, code: int) -> str:
        """`The training worker (process 812) died while updating.`"""
        if died := self.told.get("died"):
            who = f"{died['process']} (process {died['pid']})"
            the = "" if who.startswith("Ray's") else "The "
            return f"{the}{who} died while {self.phase}."
        if code < 0 or code > 128:
            who = "guardian" if code < 0 else "driver"
            number = -code if code < 0 else code - 128
            return f"The {who} process was killed while {self.phase}, {by_signal(number)}."
        return f"The run ended while {self.phase} (exit code {code})."

    def _saved(self) -> str:
        saved = self.told.get("saved")
        if saved is None:
            return (
                "Nothing new was saved. The same command goes on from the checkpoint before, "
                "if there is one."
            )
        return f"Step {saved['step']} is saved; the same command continues from there."
