"""multiprocessing's fork server, played by the zygote: for vLLM's engine, which a server starts.

    offer()  ->  True   # multiprocessing.get_context("forkserver") starts processes that way now

vLLM starts its engine with a new interpreter, which imports once more what its parent has: nine
seconds of CPU time. Here the zygote is asked for a process, as Ray's workers are (fork_client.py),
that runs this file and reads from a pipe what to do, as one of Python's own fork server would
(multiprocessing/popen_forkserver.py). Where the zygote cannot, a new interpreter runs the file. The
process ends with the one that has asked, though it is not its child.
"""

import contextlib
import os
import select
import subprocess
import sys
import threading
from collections.abc import Sequence
from multiprocessing import forkserver, resource_tracker, spawn
from typing import Any

from verlaunch.engine.fork import fork_client

STANDARD = (0, 1, 2)
PARENT_IS_GONE = 1


def offer() -> bool:
    """False where no run of ours has a zygote: nothing is changed then."""
    if found := os.path.exists(_address()):
        forkserver.connect_to_new_process = _connect
    return found


def _address() -> str:
    return os.path.join(os.environ.get("VERLAUNCH_TEMP", ""), fork_client.ADDRESS)


def _connect(fds: Sequence[int]) -> tuple[int, int]:
    """Pipes from and to a new process, whose id comes first. `fds`: more that it shall have."""
    from_child, child_writes = os.pipe()
    child_reads, to_child = os.pipe()
    tracker: Any = resource_tracker.getfd()
    given = [child_reads, child_writes, tracker, *fds]
    try:
        if not _forked(given):
            subprocess.Popen([sys.executable, __file__, *map(str, given)], pass_fds=given)
    finally:
        os.close(child_reads)
        os.close(child_writes)
    return from_child, to_child


def _forked(fds: list[int]) -> bool:
    wanted = {
        "words": [__file__],
        "environment": {**os.environ, **fork_client.JOB},
        "added": {},
        "folder": os.getcwd(),
        "leads": False,
    }
    with contextlib.suppress(OSError, ValueError):
        return fork_client.ask(_address(), wanted, [*STANDARD, *fds]) > 0
    return False


def main(reads: int, writes: int, tracker: int, *others: int) -> int:
    """In the new process. The exit code of what it was asked to run."""
    forkserver.write_signed(writes, os.getpid())
    mine: Any = forkserver
    trackers: Any = resource_tracker
    mine._forkserver._inherited_fds = list(others)
    trackers._resource_tracker._fd = tracker
    watch = threading.Thread(target=_end_with_parent, args=[os.dup(reads)], daemon=True)
    watch.start()
    python: Any = spawn
    return python._main(reads, os.dup(reads))


def _end_with_parent(pipe: int) -> None:
    """Until nobody can write to it any more; what is in it is not read."""
    waiting = select.poll()
    waiting.register(pipe, 0)
    waiting.poll()
    os._exit(PARENT_IS_GONE)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
