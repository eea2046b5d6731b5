"""Processes of this machine by what they are, from /proc: who descends from whom, who bears a mark.

    end_all(lambda: marked("VERLAUNCH_RUN", "/data/outputs"))

Standard library only: the guardian has to stay small. Left out on purpose: asking nicely. What gets
here has been asked already, or its run is dead.
"""

import contextlib
import ctypes
import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
SHM = "/dev/shm/"
EARLIER_S = 0.1  # the clocks of files and of processes differ by a few ticks
ROUNDS, ROUND_S = 200, 0.05  # 10 s; one that is stuck in the kernel must not hold us for ever


def become_subreaper() -> None:
    """Orphans below this process become its children, whatever sessions they chose."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with(parent: int) -> None:
    """This process is killed when `parent`, which has just forked it, ends in any way."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it has ended already
        os._exit(1)


def _fields(pid: int | str) -> list[str]:
    """Of its `stat`, from the state on. Raises OSError when it is gone."""
    stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    return stat.rpartition(")")[2].split()


def _all() -> Iterator[tuple[int, list[str]]]:
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # gone meanwhile
            yield int(name), _fields(name)


def children(parent: int) -> list[int]:
    return [pid for pid, fields in _all() if int(fields[1]) == parent]


def is_dead(pid: int) -> bool:
    try:
        return _fields(pid)[0] in "ZX"
    except OSError:
        return True


def by_signal(number: int) -> str:
    """What ended a process, in words."""
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    return f"by {name}" + (" (from outside, or of too little memory)" if number == 9 else "")


def descendants(root: int) -> list[int]:
    """Process ids below `root`, the dead that nobody has waited for among them."""
    children: dict[int, list[int]] = {}
    for pid, (_, parent, *_) in _all():
        children.setdefault(int(parent), []).append(pid)
    found, queue = [], [root]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def adopted() -> list[int]:
    """Descendants of this process in sessions that are not its own.

    For a subreaper these are what a dead child has left, as long as that child opened a session.
    """
    sessions = {pid: int(fields[3]) for pid, fields in _all()}
    ours = os.getsid(0)
    return [pid for pid in descendants(os.getpid()) if sessions.get(pid, ours) != ours]


def marked(name: str, value: str) -> list[int]:
    """Living processes that were started with this environment variable, and what is below them.

    We ourselves, and those that we descend from, are never among them.
    """
    mark = f"{name}={value}".encode()
    found: list[int] = []
    for pid, (state, *_) in _all():
        with contextlib.suppress(OSError):  # gone meanwhile, or another user's
            if state != "Z" and mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found += [pid, *descendants(pid)]
    spared = _ourselves()
    return [pid for pid in dict.fromkeys(found) if pid not in spared]


def _ourselves() -> set[int]:
    parents = {pid: int(fields[1]) for pid, fields in _all()}
    line, pid = set(), os.getpid()
    while pid and pid not in line:
        line.add(pid)
        pid = parents.get(pid, 0)
    return line


def shared_memory(pids: list[int]) -> set[str]:
    """Files below /dev/shm that these processes have mapped, those without a name left out."""
    found = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            maps = Path(f"/proc/{pid}/maps").read_text()
            found |= {line[line.index(SHM) :] for line in maps.splitlines() if SHM in line}
    return {file for file in found if not file.endswith(" (deleted)")}


def _began(pid: int) -> float:
    """In seconds since 1970; never, as infinity, when it is gone."""
    try:
        ticks = int(_fields(pid)[19])
    except OSError:
        return math.inf
    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return boot + ticks / os.sysconf("SC_CLK_TCK")


def _made_memory(pids: list[int]) -> set[str]:
    """What these processes may have put below /dev/shm themselves: younger than they are.

    A person keeps models there as well, which a run only maps.
    """
    since = min(map(_began, pids), default=math.inf) - EARLIER_S
    made = set()
    for file in shared_memory(pids):
        with contextlib.suppress(OSError):
            if os.sep not in file[len(SHM) :] and os.stat(file).st_ctime >= since:
                made.add(file)
    return made


def _reap(pids: list[int]) -> None:
    """Only these: another's exit code is not ours to take."""
    for pid in pids:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def end_all(find: Callable[[], list[int]]) -> int:
    """Kills what `find` finds until it finds nothing, and removes the memory that they made.

    Returns how many there were.
    """
    seen: set[int] = set()
    shared: set[str] = set()
    for _ in range(ROUNDS):
        left = find()
        shared |= _made_memory(left)
        seen.update(left)
        if not left:
            break
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(ROUND_S)
        _reap(left)
    for file in shared:
        with contextlib.suppress(OSError):
            Path(file).unlink()
    return len(seen)
