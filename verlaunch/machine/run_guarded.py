"""A command under the guardian: nothing of it outlives us, however we end.

    with run_guarded.run([sys.executable, "-m", "json.tool"], log, folder) as process:
        while process.poll() is None: ...

Its output goes to `log`; leaving the `with` ends it. The guardian sees our death as the end of its
standard input, and processes that a killed guardian leaves are found by the folder's mark.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from verlaunch.machine import leftovers, processes
from verlaunch.paths import temp_dir


@contextmanager
def run(
    command: Sequence[str], log: Path, folder: Path, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen]:
    """`env`: variables to add."""
    others = processes.adopted()  # before the run has any
    guardian = _start(command, log, folder, env or {})
    try:
        yield guardian
    finally:
        _end(guardian, folder, others)


def _start(
    command: Sequence[str], log: Path, folder: Path, env: Mapping[str, str]
) -> subprocess.Popen:
    prefix = str(temp_dir() / leftovers.OURS)
    processes.become_subreaper()  # for what a killed guardian leaves
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "verlaunch.machine.guardian", prefix, *command],
            stdin=subprocess.PIPE,  # its end of file tells the guardian that we are gone
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a terminal's Ctrl-C is ours to handle
            env={**os.environ, **env, **leftovers.mark(folder)},
        )


def _end(guardian: subprocess.Popen, folder: Path, others: list[int]) -> None:
    if guardian.poll() is None:
        guardian.terminate()
    guardian.wait()
    assert guardian.stdin is not None
    guardian.stdin.close()
    # Nothing, unless the guardian was killed. What is below it has sessions that are not ours.
    processes.end_all(lambda: [pid for pid in processes.adopted() if pid not in others])
    leftovers.end(folder)
