"""Runs a program's cases in a sandbox on this machine: one Python start, one fork per case.

    run_local("namespaces", Job(program, tasks), threading.Event())  # [Ran(...), ...]

Plans, best first: "namespaces" (see inside/namespaces.py); "other user": limits, and nobody's
rights where we are root; "same user": limits only. `tiers.py` finds which of them hold here.
"""

import json
import os
import secrets
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rewards.part import Failure
from rewards.sandbox.inside.supervisor import PATIENCE
from rewards.sandbox.outcome import Ran, has_finished, read_reports

START_S = 60.0  # for Python's start on a machine that is busy
GRACE_S = 5.0  # to end by itself once its lifeline is cut
MOST_READ = 1 << 20
_BOOT = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from inside.supervisor import main; del sys.path[0]; main()"
)


class Refused(Exception):
    """The machine does not allow this plan; the message says what was refused."""


@dataclass(frozen=True)
class Job:
    """timeout_s: CPU seconds of one case; its wall clock is PATIENCE times that."""

    program: str
    tasks: tuple[dict[str, Any], ...]
    timeout_s: float = 10.0
    memory_mib: int = 1024

    @property
    def longest_s(self) -> float:
        return START_S + len(self.tasks) * (PATIENCE * self.timeout_s + GRACE_S)


def _start(plan: str, folder: str, job: Job, mark: str) -> subprocess.Popen:
    here = str(Path(__file__).parent)
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _BOOT, here],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
        env={},
        start_new_session=True,
    )
    request = {
        "plan": plan,
        "folder": folder,
        "program": job.program,
        "tasks": [{**task, "mark": mark} for task in job.tasks],
        "timeout_s": job.timeout_s,
        "memory_mib": job.memory_mib,
    }
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it died at once; what it said is read next
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
    return process


def _lines(process: subprocess.Popen, job: Job, stop: threading.Event) -> list[dict[str, Any]]:
    """What the supervisor says until it ends. Raises Failure when it does not."""
    assert process.stdout is not None
    fd, text = process.stdout.fileno(), bytearray()
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    deadline = time.monotonic() + job.longest_s
    while time.monotonic() < deadline and not stop.is_set():
        if not poll.poll(100):
            continue
        chunk = os.read(fd, MOST_READ)
        if not chunk:
            return [json.loads(line) for line in text.split(b"\n")[:-1]]
        text += chunk
    if stop.is_set():
        raise Failure("sandbox", "stopped: nobody waits for the result")
    raise Failure("sandbox", f"the local sandbox did not end within {job.longest_s:g} s")


def _end(process: subprocess.Popen) -> None:
    """Cuts the lifeline, on which it ends by itself with all that runs below it."""
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last_words(process: subprocess.Popen) -> str:
    assert process.stderr is not None
    poll = select.poll()
    poll.register(process.stderr, select.POLLIN)
    said = os.read(process.stderr.fileno(), 4096) if poll.poll(100) else b""
    return said.decode(errors="replace").strip().rpartition("\n")[2] or "without a word"


def _ran(said: dict[str, Any], mark: str) -> Ran:
    reports = read_reports(said["said"].splitlines())
    if reports and "broken" in reports[0]:  # only ever said first, before the program runs
        raise Failure("sandbox", f"the local sandbox is broken: {reports[0]['broken']}")
    finished = has_finished(reports, mark)
    return Ran(said["ended"], said["code"], said["stdout"], finished, reports)


def _checked(plan: str, job: Job, ran: list[Ran], words: str) -> list[Ran]:
    if len(ran) == len(job.tasks) or (ran and not ran[-1].compiled and ran[-1].ended == "exit"):
        return ran
    if plan == "same user":
        return ran  # the program can kill its supervisor there: the model's doing, not ours
    raise Failure("sandbox", f"the local sandbox ended early: {words}")


def run_local(plan: str, job: Job, stop: threading.Event) -> list[Ran]:
    """One Ran per case, fewer when the program does not compile. Raises Failure and Refused."""
    folder = tempfile.mkdtemp(prefix="verlaunch-sandbox-")
    mark = secrets.token_hex(8)
    try:
        process = _start(plan, folder, job, mark)
        try:
            said = _lines(process, job, stop)
            words = _last_words(process)
        finally:
            _end(process)
        if not said or "refused" in said[0]:
            raise Refused(said[0]["refused"] if said else f"it ended at once: {words}")
        return _checked(plan, job, [_ran(one, mark) for one in said[1:]], words)
    except OSError as error:
        raise Failure("sandbox", f"the local sandbox cannot be started: {error}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
