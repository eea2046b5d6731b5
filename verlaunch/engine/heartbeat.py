"""A sign of progress from inside the run: a file is touched whenever work gets done.

    beat()      # after a response, before a micro batch; at most once a second it costs anything

The launcher's watchdog (watchdog.py) looks at the file's time. Every process of a run has its path
from the driver, through the environment; of several machines those of node 0, with whose ranks the
others keep step.
"""

import contextlib
import os
import time
from pathlib import Path

VARIABLE = "VERLAUNCH_HEARTBEAT"
LEAST_S = 1.0
_last = 0.0


def beat() -> None:
    global _last
    now = time.monotonic()
    if now - _last >= LEAST_S and (file := os.environ.get(VARIABLE)):
        _last = now
        with contextlib.suppress(OSError):  # a full disk may have no room for a first one
            Path(file).touch()
