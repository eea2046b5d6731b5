"""Stands between the launcher and everything it starts, so that nothing outlives a run.

    python -m verlaunch.machine.guardian TEMP_PREFIX COMMAND ...

Orphans of the command become children of this process (PR_SET_CHILD_SUBREAPER), whatever sessions
and process groups they chose. When the command ends, when SIGTERM comes, or when the launcher dies
in any way (its end of our standard input closes), every descendant is ended; the run's temporary
folder ($VERLAUNCH_TEMP) and the shared memory that its processes made are removed. When this
process is killed the command is killed with it, and the rest is for leftovers.py: the folder is
noted in $VERLAUNCH_RUN/logs, the shared memory in the folder. It imports nothing but the standard
library, so it stays small and starts at once. Exit code: the command's, or 128 + signal.
"""

import contextlib
import getpass
import os
import secrets
import select
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from verlaunch.machine import leftovers, processes

GRACE_S = 3.0  # for the command to end by itself after SIGTERM
POLL_S = 0.2


class SharedMemory:
    """Keeps a list, in `note`, of the files below /dev/shm that are ours.

    A process that is killed leaves its files there, and then nothing tells whose they were: so each
    new name is looked for among our processes' maps while they live.
    """

    def __init__(self, note: Path) -> None:
        self.note = note
        self.known = self._names()

    @staticmethod
    def _names() -> set[str]:
        return set(os.listdir(processes.SHM)) if os.path.isdir(processes.SHM) else set()

    def look(self) -> None:
        names = self._names()
        new = {processes.SHM + name for name in names - self.known}
        self.known = names
        if new:
            ours = new & processes.shared_memory(processes.descendants(os.getpid()))
            with contextlib.suppress(OSError), self.note.open("a") as out:  # on a full disk
                out.writelines(f"{file}\n" for file in sorted(ours))


def _wait(child: subprocess.Popen, asked_to_end: list[int], shared: SharedMemory) -> None:
    """Returns when the command has ended, or when it should."""
    while child.poll() is None and not asked_to_end:
        shared.look()
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


def _keep_compiled(temp: str) -> None:
    """What torch compiles in TMPDIR serves the next run too (torch/_inductor/codecache.py:3542)."""
    name = "torchinductor_" + getpass.getuser()
    cache = os.path.join(os.path.dirname(temp), name)
    os.makedirs(cache, mode=0o700, exist_ok=True)
    os.symlink(cache, os.path.join(temp, name))


def _make_temp(prefix: str) -> str:
    temp = prefix + secrets.token_hex(4)
    if run := os.environ.get(leftovers.MARK):
        leftovers.note(Path(run), temp)
    os.mkdir(temp, 0o700)
    with contextlib.suppress(OSError, KeyError):  # then it is compiled again
        _keep_compiled(temp)
    return temp


def _environment(temp: str) -> dict[str, str]:
    """vLLM and others leave sockets and files in TMPDIR: there they go with the rest."""
    return {**os.environ, "VERLAUNCH_TEMP": temp, "TMPDIR": temp}


def main(prefix: str, command: list[str]) -> int:
    processes.become_subreaper()
    asked_to_end: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, frame: asked_to_end.append(number))
    temp = _make_temp(prefix)
    guardian = os.getpid()
    shared = SharedMemory(Path(temp, leftovers.SHARED))
    try:
        command = [in_plain_path(command[0], temp), *command[1:]]
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            env=_environment(temp),
            preexec_fn=lambda: processes.die_with(guardian),  # safe: we have one thread
        )
        _wait(child, asked_to_end, shared)
        _end(child)
    finally:
        processes.end_all(lambda: processes.descendants(guardian))
        leftovers.remove_shared(shared.note)
        shutil.rmtree(temp, ignore_errors=True)
    return 128 - child.returncode if child.returncode < 0 else child.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
