"""Stands between the launcher and everything it starts, so that nothing outlives a run.

    python -m verlaunch.guardian TEMP_PREFIX COMMAND ...

Orphans of the command become children of this process (PR_SET_CHILD_SUBREAPER), whatever sessions
and process groups they chose. When the command ends, when SIGTERM comes, or when the launcher dies
in any way (its end of our standard input closes), every descendant is ended and the run's temporary
folder, $VERLAUNCH_TEMP of the command, is removed. It imports nothing but the standard library, so
it stays small and starts at once. Exit code: the command's, or 128 + signal.
"""

import contextlib
import ctypes
import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
GRACE_S = 3.0  # for the command to end by itself after SIGTERM
POLL_S = 0.2


def descendants(root: int) -> list[int]:
    """Process ids below `root`, from /proc."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text(errors="replace")
        except OSError:
            continue  # gone meanwhile
        parent = int(stat.rpartition(")")[2].split()[1])
        children.setdefault(parent, []).append(int(entry.name))
    found, queue = [], [root]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def shared_memory(pids: list[int]) -> set[str]:
    """Files below /dev/shm that these processes have mapped."""
    found = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            maps = Path(f"/proc/{pid}/maps").read_text()
            found |= {
                line[line.index("/dev/shm/") :] for line in maps.splitlines() if "/dev/shm/" in line
            }
    return found


def end_all(root: int) -> None:
    """Kills every descendant of `root`, new ones too, and removes the memory they shared."""
    shared: set[str] = set()
    for _ in range(100):
        _reap()
        left = descendants(root)
        shared |= shared_memory(left)
        if not left:
            break
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    for file in shared:
        Path(file).unlink(missing_ok=True)


def _wait(child: subprocess.Popen, asked_to_end: list[int]) -> None:
    """Returns when the command has ended, or when it should."""
    while child.poll() is None and not asked_to_end:
        ready, _, _ = select.select([sys.stdin], [], [], POLL_S)
        if ready and not os.read(sys.stdin.fileno(), 4096):
            return  # the launcher is gone


def _end(child: subprocess.Popen) -> None:
    """SIGTERM, then SIGKILL. Waited for here: a child reaped by others has lost its exit code."""
    if child.poll() is None:
        child.terminate()
    try:
        child.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def in_plain_path(python: str, temp: str) -> str:
    """This interpreter, by a path that a shell reads as one word.

    Ray starts workers with `bash -c "exec <python> ..."` and quotes nothing
    (ray/_private/runtime_env/context.py), so a checkout in "my folder" would start no worker.
    """
    if shlex.quote(python) == python or not python.startswith(sys.prefix):
        return python
    link = os.path.join(temp, "python")
    os.symlink(sys.prefix, link)
    return link + python[len(sys.prefix) :]


def main(prefix: str, command: list[str]) -> int:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    asked_to_end: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, frame: asked_to_end.append(number))
    temp = tempfile.mkdtemp(prefix=prefix)
    try:
        environment = {**os.environ, "VERLAUNCH_TEMP": temp}
        command = [in_plain_path(command[0], temp), *command[1:]]
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment)
        _wait(child, asked_to_end)
        _end(child)
    finally:
        end_all(os.getpid())
        shutil.rmtree(temp, ignore_errors=True)
    return 128 - child.returncode if child.returncode < 0 else child.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
