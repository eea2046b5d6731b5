"""Keeps a run's summary, CSV, curves and page up to date while it goes.

    recorder = Recorder(Path("outputs"))
    recorder.update()                   # as often as wanted
    page = recorder.finish(code=0)      # report.html, once it shows the end

Summary and CSV follow each step, here; curves and page follow each minute, in a process of their
own with a low priority. A recorder that breaks says so in logs/report.log, and the run goes on.
"""

import contextlib
import functools
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from verlaunch.machine import leftovers
from verlaunch.record.channel import ALERTS, EVENTS, METRICS, Channel, Tail
from verlaunch.record.report.csv_table import Table
from verlaunch.record.report.history import History, Line, read_facts
from verlaunch.record.report.series import Series
from verlaunch.record.report.state import ENDED, begins
from verlaunch.record.report.summary import summarize
from verlaunch.record.report.write import PAGE, write_summary

LOG = Path("logs", "report.log")
PICTURES = (sys.executable, "-m", "verlaunch.record.report.write", "--behind")
EVERY_S = 60.0
SHARE = 20  # writing takes at most one part in so many of the time
PATIENCE_S, LITTLE_PATIENCE_S = 60.0, 10.0  # for the last pictures
ROUTINE = ("rollout", "update")


class Recorder:
    """`command` is given the folder."""

    def __init__(
        self,
        folder: Path,
        now: Callable[[], float] = time.monotonic,
        command: tuple[str, ...] = PICTURES,
    ) -> None:
        self.folder, self.now, self.command = folder, now, command
        self.broken = self.is_done = False
        self.series = Series()
        self.table = Table(folder)
        self.alerts: list[Line] = []
        self.events: list[Line] = []
        self.tails = {name: Tail(folder / name) for name in (METRICS, ALERTS, EVENTS)}
        self.is_behind = False  # the summary, of the steps
        self.next_summary = now()
        self.next_pictures = now() + EVERY_S
        self.child: subprocess.Popen | None = None
        self.began = 0.0  # the child

    @functools.cached_property
    def facts(self) -> History:
        return read_facts(self.folder)

    def update(self) -> None:
        self._guarded(self._update)

    def finish(self, code: int, reason: str = "", in_a_hurry: bool = False) -> Path | None:
        """The page, when it could be written. code: the run's exit code. reason: its last error."""
        patience_s = LITTLE_PATIENCE_S if in_a_hurry else PATIENCE_S
        self._guarded(lambda: self._finish(code, reason, patience_s))
        return self.folder / PAGE if self.is_done and not self.broken else None

    def _guarded(self, work: Callable[[], None]) -> None:
        if self.broken:
            return
        try:
            work()
        except Exception:  # whatever it is: a report is never worth a run
            self.broken = True
            with contextlib.suppress(OSError), (self.folder / LOG).open("a") as log:
                log.write(f"The report is no longer kept up to date.\n{traceback.format_exc()}")

    def _update(self) -> None:
        self._read()
        if self.is_behind and self.now() >= self.next_summary:
            self._summarize()
        if self.child is not None and self.child.poll() is not None:
            took = self.now() - self.began
            self.next_pictures = self.now() + max(EVERY_S, SHARE * took)
            self.child = None
        if self.series and self.child is None and self.now() >= self.next_pictures:
            self._draw()

    def _read(self) -> None:
        self.alerts += self.tails[ALERTS].new()
        for event in self.tails[EVENTS].new():
            if self.events and _is_routine(self.events[-1]) and not begins(event):
                self.events.pop()  # only the last one says something: how far an attempt came
            self.events.append(event)
        before = len(self.series)
        new = list(self.tails[METRICS].new())
        for line in new:
            self.series.add(line)
            if before:
                self.table.add(line)
        if new and not before:
            self.table.write()
        self.is_behind = self.is_behind or bool(new)

    def _summarize(self) -> None:
        began = time.monotonic()
        history = replace(self.facts, alerts=self.alerts, events=self.events)
        write_summary(self.folder, summarize(history, self.series))
        self.is_behind = False
        self.next_summary = self.now() + SHARE * (time.monotonic() - began)

    def _draw(self) -> None:
        self.began = self.now()
        with (self.folder / LOG).open("ab") as log:
            self.child = subprocess.Popen(
                [*self.command, str(self.folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **leftovers.mark(self.folder)},
            )

    def _finish(self, code: int, reason: str, patience_s: float) -> None:
        Channel(self.folder).event(ENDED, code=code, **({"reason": reason} if reason else {}))
        self._read()
        self._summarize()
        self._wait(patience_s)  # it may not have seen the end
        if self.series:
            self._draw()
            self.is_done = self._wait(patience_s) == 0

    def _wait(self, patience_s: float) -> int | None:
        """The child's exit code. Raises TimeoutExpired."""
        child, self.child = self.child, None
        try:
            return child.wait(patience_s) if child else None
        finally:
            if child and child.poll() is None:
                child.kill()
                child.wait()


def _is_routine(event: Line) -> bool:
    return event["event"] == "metrics" or event.get("phase") in ROUTINE
