"""All processes below this one: what memory they use, and their end. It must adopt orphans.

    end_all()  # as process 1, or with PR_SET_CHILD_SUBREAPER

From /proc, because a process that detaches itself is in no group, session or list of ours.
"""

import os
import signal
import time
from contextlib import suppress

_PAGE = os.sysconf("SC_PAGE_SIZE")


def _parents() -> dict[int, int]:
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                found[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
        except OSError:
            pass  # it has ended meanwhile
    return found


def descendants() -> set[int]:
    """All processes below this one; orphans too, since it adopts them."""
    try:
        parents = _parents()
    except OSError:
        return set()  # a world without /proc
    below = {os.getpid()}
    while True:
        more = {pid for pid, parent in parents.items() if parent in below} - below
        if not more:
            return below - {os.getpid()}
        below |= more


def resident(pids: set[int]) -> int:
    pages = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/statm", "rb") as file:
                pages += int(file.read().split()[1])
        except (OSError, IndexError):
            pass
    return pages * _PAGE


def _reap() -> bool:
    """Collects the dead; True when no child is left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return True
    return False


def end_all() -> None:
    """Kills every process below this one, however it has hidden."""
    while not _reap():
        targets = [-1] if os.getpid() == 1 else sorted(descendants())
        for number in (signal.SIGSTOP, signal.SIGKILL):  # stopped ones cannot fork on meanwhile
            for pid in targets:
                with suppress(OSError):
                    os.kill(pid, number)
        time.sleep(0.001)
