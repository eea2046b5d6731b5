"""The trainer's channel: on a full disk it waits, where another program would fail.

    channel = PatientChannel(Path("outputs"))
    channel.log({"critic/score/mean": 0.5}, step=3)    # returns when the line is written

Weights and optimizer are in memory, so that nothing is lost meanwhile. The screen is told by a file
without content, since that fits on a full disk. Who stops the run ends the wait as well, and the
record does without the line.
"""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from verlaunch.engine.heartbeat import beat
from verlaunch.machine import disk
from verlaunch.record.channel import FULL, Channel


class PatientChannel(Channel):
    def append(self, path: Path, *lines: dict[str, Any]) -> None:
        write = super().append
        self.patiently(lambda: write(path, *lines))

    def patiently(self, write: Callable[[], object]) -> None:
        """Does it when the disk has room for it."""
        mark = self.folder / FULL
        while not _fits(write):
            with contextlib.suppress(OSError):
                mark.touch()
            if self.stop_requested():
                return
            beat()  # waiting is no hang
            time.sleep(disk.POLL_S)
        mark.unlink(missing_ok=True)


def _fits(write: Callable[[], object]) -> bool:
    try:
        write()
    except OSError as error:
        if not disk.is_full(error):
            raise
        return False
    return True
