"""The sandbox's first process: one fork per test, watched, and nothing of it left when it ends.

    {"plan": "namespaces", "folder": "/tmp/x", "program": "...", "tasks": [...], ...}   one line in
    {"ready": true}, then {"ended": "exit", "code": 0, "stdout": "...", "said": "..."} per task out

Standard input stays open as a lifeline: when it closes, whoever asked is gone, and so is all of
this. A program shares no file descriptor with this process but its own input and output, cannot
trace it (it is not dumpable), and in the namespaces cannot signal it (it is process 1).
"""

import atexit
import json
import math
import os
import select
import signal
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from typing import Any

from . import harness
from .confinement import MOST_PROCESSES, Limits, become, counted_already
from .descendants import descendants, end_all, resident
from .namespaces import NOBODY, SANDBOX, enter, prctl

LIFELINE, OUT, SAID = 0, 1, 3  # the program's own: 0, 1, 2 and SAID
MOST_OUTPUT = 4 << 20  # bytes of stdout, and of reports
MOST_TIMEOUTS = 3  # the tests behind them count as out of time and are not run
NOT_COMPILED = '{"compiled": false}'
PATIENCE = 2  # wall clock per CPU second allowed: the machine may be busy with training
TICK_MS = 50
_ASIDE = (60, 61)  # where the outputs wait while everything below is closed
LOOK_S = 0.2  # between looks at what all of a program's processes use together


class Gone(Exception):
    """The lifeline is cut."""


def _send(message: dict[str, Any], to: int = OUT, write: Any = os.write) -> None:
    # bound before the program runs: it may replace os.write with something of its own
    left = json.dumps(message).encode() + b"\n"
    while left:
        left = left[write(to, left) :]


def _read_line() -> bytes:
    text = bytearray()
    while not text.endswith(b"\n"):
        chunk = os.read(LIFELINE, 1 << 20)
        if not chunk:
            raise Gone
        text += chunk
    return bytes(text)


def _stream(fd: int, text: bytes) -> None:
    """The text as fd's content, without a pipe that someone would have to fill."""
    source = os.memfd_create("stdin")
    view = memoryview(text)
    while view:
        view = view[os.write(source, view) :]
    os.lseek(source, 0, os.SEEK_SET)
    os.dup2(source, fd)


_say = partial(_send, to=SAID)


def _opened(fd: int, mode: str) -> Any:
    return open(fd, mode, encoding="utf-8", errors="surrogateescape", closefd=False)


def _own_files(task: dict[str, Any], outputs: tuple[int, int]) -> None:
    """Standard input, output, /dev/null for errors, and SAID; all others are closed."""
    for fd, target in zip(outputs, _ASIDE, strict=True):
        os.dup2(fd, target)
    os.closerange(2, _ASIDE[0])
    os.dup2(_ASIDE[0], 1)
    os.dup2(_ASIDE[1], SAID)
    _stream(0, task.get("stdin", "").encode("utf-8", "surrogatepass"))
    os.dup2(os.open("/dev/null", os.O_WRONLY), 2)
    os.closerange(SAID + 1, 1024)
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        opened = _opened(fd, "w" if fd else "r")
        setattr(sys, name, opened)
        setattr(sys, f"__{name}__", opened)


def _leave(job: dict[str, Any], task: dict[str, Any], outputs: tuple[int, int]) -> str:
    """In the fork: leaves everything behind. What went wrong, "" for nothing."""
    try:
        _own_files(task, outputs)
        limits = Limits(math.ceil(job["timeout_s"]), job["memory_mib"], job["processes"])
        become(limits, job["user"])
        prctl(4, 1)  # PR_SET_DUMPABLE: /dev/stdin is its own again
        prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, which a change of user has cleared
        os.environ.clear()
    except OSError as error:
        return f"the limits cannot be set: {error}"
    return ""


def _finish() -> None:
    """What Python does at its end, less the taking apart of every module: that takes 10 ms."""
    for last in (threading._shutdown, atexit._run_exitfuncs, sys.stdout.flush):  # type: ignore
        with suppress(BaseException):  # as there: it changes no exit code
            last()


def _program(job: dict[str, Any], task: dict[str, Any], outputs: tuple[int, int]) -> None:
    leave = os._exit  # bound here: the program may replace it
    code = 1
    try:
        problem = _leave(job, task, outputs)
        if problem:
            _say({"broken": problem})
        else:
            code = harness.run(job["program"], task, _say)
            _finish()
    finally:
        leave(code)


def _watch(pid: int, streams: dict[int, bytearray], job: dict[str, Any]) -> tuple[str, int]:
    """How the program ended and its exit code (-1: killed). It may still have to be killed."""
    deadline = time.monotonic() + PATIENCE * job["timeout_s"]
    next_look = time.monotonic() + LOOK_S
    poll = select.poll()
    ended = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
    for fd in (LIFELINE, *streams, *([] if ended is None else [ended])):
        poll.register(fd, select.POLLIN)
    try:
        while True:
            for fd, _ in poll.poll(TICK_MS):
                if fd == LIFELINE:
                    raise Gone
                if fd in streams:
                    chunk = os.read(fd, 1 << 16)
                    streams[fd] += chunk
                    if not chunk:
                        poll.unregister(fd)
            if any(len(stream) > MOST_OUTPUT for stream in streams.values()):
                return "too much", -1
            done, status, used = os.wait4(pid, os.WNOHANG)
            if done and os.WIFEXITED(status):
                return "exit", os.WEXITSTATUS(status)
            if done:
                spent = used.ru_utime + used.ru_stime
                late = os.WTERMSIG(status) == signal.SIGXCPU or spent >= job["timeout_s"]
                return "timeout" if late else "signal", -1
            if time.monotonic() > deadline:
                return "timeout", -1
            if time.monotonic() > next_look:
                below = descendants()
                if len(below) > MOST_PROCESSES or resident(below) > job["memory_mib"] << 20:
                    return "too much", -1
                next_look = time.monotonic() + LOOK_S
    finally:
        if ended is not None:
            os.close(ended)


def _drain(streams: dict[int, bytearray]) -> None:
    for fd, text in streams.items():
        os.set_blocking(fd, False)
        try:
            while len(text) <= MOST_OUTPUT and (chunk := os.read(fd, 1 << 16)):
                text += chunk
        except BlockingIOError:
            pass
        os.close(fd)


def _run(job: dict[str, Any], task: dict[str, Any]) -> dict[str, Any]:
    stdout, said = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        _program(job, task, (stdout[1], said[1]))
    os.close(stdout[1])
    os.close(said[1])
    streams = {stdout[0]: bytearray(), said[0]: bytearray()}
    ended, code = _watch(pid, streams, job)
    end_all()
    _drain(streams)
    out, reports = (
        bytes(text[:MOST_OUTPUT]).decode("utf-8", "replace") for text in streams.values()
    )
    return {"ended": ended, "code": code, "stdout": out, "said": reports}


def _settle(job: dict[str, Any]) -> None:
    """Enters the plan's world. Raises OSError where the machine does not allow it."""
    root = os.geteuid() == 0
    if job["plan"] == "namespaces":
        kernel_user = NOBODY if root else os.geteuid()
        job["user"] = SANDBOX if root else None
        job["processes"] = counted_already(kernel_user, own_namespace=True)
        enter(job["folder"])
    else:
        job["user"] = NOBODY if job["plan"] == "other user" else None
        kernel_user = os.geteuid() if job["user"] is None else job["user"]
        job["processes"] = counted_already(kernel_user, own_namespace=False)
        prctl(36, 1)  # PR_SET_CHILD_SUBREAPER
        if job["user"] is not None:
            os.chown(job["folder"], NOBODY, NOBODY)
        os.chdir(job["folder"])
    prctl(4, 0)  # PR_SET_DUMPABLE: none of the same user may trace this process


def main() -> None:
    try:
        job = json.loads(_read_line())
        harness.prelude()  # imported once, before the forks
        try:
            _settle(job)
        except OSError as error:
            return _send({"refused": str(error.strerror or error)})
        _send({"ready": True})
        timeouts = 0
        for task in job["tasks"]:
            if timeouts == MOST_TIMEOUTS:
                _send({"ended": "timeout", "code": -1, "stdout": "", "said": ""})
                continue
            ran = _run(job, task)
            timeouts += ran["ended"] == "timeout"
            _send(ran)
            if ran["said"].startswith(NOT_COMPILED):
                break
    except (Gone, BrokenPipeError):
        end_all()
