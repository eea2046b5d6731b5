"""Tells a run that is slow from one that hangs: by signs of progress, not by the clock alone.

    watchdog = Watchdog(limit_s=1800)
    watchdog.look((view.heard, heartbeat(folder)))    # as often as wanted
    watchdog.is_hung  ->  False

A sign is anything that changes when work gets done: an event, a finished response, a micro batch
(engine/heartbeat.py). Time that the machine sleeps does not count (Linux's monotonic clock).
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# What the state letters of /proc/PID/stat mean, where they explain a stillness.
STUCK = {"T": "stopped by a signal", "t": "stopped by a debugger", "D": "waiting for a disk"}


def stuck(pids: list[int]) -> list[str]:
    """`ray::WorkerDict (process 812) is stopped by a signal`, of those that visibly are."""
    found = []
    for pid in pids:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
            name = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue  # gone meanwhile
        state = stat.rpartition(")")[2].split()[0]
        if state in STUCK:
            found.append(f"{name.strip()[:60]} (process {pid}) is {STUCK[state]}")
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
