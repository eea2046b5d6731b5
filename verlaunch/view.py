"""Turns what a run writes (events, metrics, log) into what the screen shows, and into an exit code.

    view = View(Screen(), record, log)
    view.update()                      # as often as wanted
    code = view.conclude(0, asked_to_stop=False)

Left out on purpose: how a line looks (screen.py), and which log lines matter (log.py).
"""

from pathlib import Path
from typing import Any

from verlaunch.log import Errors, Log
from verlaunch.record import Tail
from verlaunch.screen import Screen, duration
from verlaunch.watchdog import heartbeat

STOPPED = 130
KEPT = ("finished", "failed", "saved")
SHOWN = 300  # characters of an error


class View:
    """`record`: the run's folder. Lines that were there before belong to an earlier run."""

    def __init__(self, screen: Screen, record: Path, log: Path, verbose: bool = False) -> None:
        self.screen, self.verbose, self.record = screen, verbose, record
        self.log, self.errors = Log(log), Errors()
        self.events = Tail(record / "logs" / "events.jsonl", from_end=True)
        self.metrics = Tail(record / "metrics.jsonl", from_end=True)
        self.phase = "starting"
        self.training = False
        self.heard = 0  # events so far
        self.told: dict[str, dict[str, Any]] = {}  # the newest event of each kind in KEPT

    def update(self) -> None:
        # Events first: an error is told with the phase that it came from.
        for event in self.events.new():
            self._event(event)
        for metrics in self.metrics.new():
            self.screen.metrics(metrics["step"], metrics)
        for line in self.log.new():
            is_news = self.errors.is_news(line)
            if self.verbose:
                self.screen.say(line)
            elif is_news:
                self.screen.say(f"  ! {line[:SHOWN]}  (while {self.phase}; {self.log.path})")
        self.screen.tick()

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
        elif kind in KEPT:
            self.told[kind] = event

    def conclude(self, code: int, asked_to_stop: bool) -> int:
        """Says how the run ended. Exit code: 0, 130 when it was asked to stop, else a failure's."""
        self.update()
        self.log.close()
        finished = "finished" in self.told and code == 0
        if "failed" in self.told:
            self.screen.say(f"Stopped: {self.told['failed']['reason']}")
            self.screen.say(f"Log: {self.log.path}")
            return self.told["failed"].get("code") or code or 1
        if self.screen.progress():
            self.screen.say(self.screen.progress())
        if finished and not asked_to_stop:
            return 0
        if asked_to_stop:
            self.screen.say(f"Stopped. {self._saved()}")
            return STOPPED
        self.screen.say(f"The run ended while {self.phase} (exit code {code}). {self._saved()}")
        if self.errors.last:
            self.screen.say(f"  {self.errors.last[:SHOWN]}")
        self.screen.say(f"Log: {self.log.path}")
        return code or 1

    def _saved(self) -> str:
        saved = self.told.get("saved")
        if saved is None:
            return "Nothing new was saved."
        return f"Step {saved['step']} is saved; the same command continues from there."
