"""Keeps a run's summary, CSV, curves and page up to date while it goes.

    recorder = Recorder(Path("outputs"))
    recorder.update()                   # as often as wanted
    page = recorder.finish(code=0)      # report.html, once it shows the end

Every minute a process of its own, with a low priority, makes them all anew (write.py). A recorder
that breaks says so in logs/report.log, and the run goes on.
"""

import contextlib
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from verlaunch.machine import leftovers
from verlaunch.record.channel import METRICS, Channel
from verlaunch.record.report.state import ENDED
from verlaunch.record.report.write import PAGE

LOG = Path("logs", "report.log")
WRITE = (sys.executable, "-m", "verlaunch.record.report.write")
EVERY_S = 60.0
SHARE = 20  # writing takes at most one part in so many of the time
PATIENCE_S, LITTLE_PATIENCE_S = 60.0, 10.0  # for the last time


class Recorder:
    """`command` is given the folder."""

    def __init__(
        self,
        folder: Path,
        now: Callable[[], float] = time.monotonic,
        command: tuple[str, ...] = WRITE,
    ) -> None:
        self.folder, self.now, self.command = folder, now, command
        self.broken = self.is_done = False
        self.next = now() + EVERY_S
        self.child: subprocess.Popen | None = None
        self.began = 0.0  # the child

    def update(self) -> None:
        self._guarded(self._update)

    def finish(self, code: int, reason: str = "", in_a_hurry: bool = False) -> Path | None:
        """The page, when it could be written. code: the run's exit code. reason: its last error."""
        patience_s = LITTLE_PATIENCE_S if in_a_hurry else PATIENCE_S
        self._guarded(lambda: self._finish(code, reason, patience_s))
        return self.folder / PAGE if self.is_done and self._has_steps() else None

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
        if self.child is not None and self.child.poll() is not None:
            took = self.now() - self.began
            self.next = self.now() + max(EVERY_S, SHARE * took)
            self.child = None
        if self.child is None and self.now() >= self.next and self._has_steps():
            self._write()

    def _has_steps(self) -> bool:
        return (self.folder / METRICS).exists()

    def _write(self) -> None:
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
        self._wait(patience_s)  # it may not have seen the end
        self._write()
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
