"""Tells a run that is slow from one that hangs: by signs of progress, not by the clock alone.

    watchdog = Watchdog(limit_s=1800)
    watchdog.look((view.heard, heartbeat(folder)))    # as often as wanted
    watchdog.is_hung  ->  False

A sign is anything that changes when work gets done: an event, a finished response, a micro batch
(engine/heartbeat.py). Time that the machine sleeps does not count (Linux's monotonic clock).
"""

import contextlib
import time
from collections.abc import Callable
from typing import Any

import psutil

# States that explain a stillness.
STUCK = {
    psutil.STATUS_STOPPED: "stopped by a signal",
    psutil.STATUS_TRACING_STOP: "stopped by a debugger",
    psutil.STATUS_DISK_SLEEP: "waiting for a disk",
}


def stuck(pids: list[int]) -> list[str]:
    """`ray::WorkerDict (process 812) is stopped by a signal`, of those that visibly are."""
    found = []
    for pid in pids:
        with contextlib.suppress(psutil.Error):  # gone meanwhile
            process = psutil.Process(pid)
            if (state := process.status()) in STUCK:
                name = " ".join(process.cmdline())[:60]
                found.append(f"{name} (process {pid}) is {STUCK[state]}")
    return found


class Watchdog:
    def __init__(self, limit_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self.limit_s, self.now = limit_s, now
        self.signs: Any = None
        self.since = now()

    def look(self, signs: Any) -> None:
        """`signs`: anything comparable; a change is progress."""
        if signs != self.signs:
            self.signs, self.since = signs, self.now()

    @property
    def is_hung(self) -> bool:
        return self.now() - self.since > self.limit_s
