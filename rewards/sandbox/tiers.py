"""Which sandbox programs run in on this machine, found by trying, and in words that hold.

isolation(None, False).sentence  # "Programs run in namespaces: ...", or raises CannotStart
"""

import os
import threading
from dataclasses import dataclass
from functools import lru_cache

from rewards.part import CannotStart, Failure
from rewards.sandbox.fusion import run_remote, shown
from rewards.sandbox.local import Job, Refused, run_local
from rewards.sandbox.outcome import Ran

# modules of the standard library that are loaded late: a user who cannot read them is no sandbox;
# a thread: a count of processes that is too low would fail honest programs
PROBE = """
import threading, statistics, decimal, sqlite3, csv, textwrap
threading.Thread(target=lambda: print(sum(map(int, input().split())))).start()
"""
_IN, _OUT = "40 2\n", "42\n"
_NAMESPACES = (
    "Programs run in namespaces: no network, no other processes and no files in sight (the "
    "libraries of the system are there, read-only), an empty environment, "
)
_LIMITS = "limits on time, memory, processes and files"
_OPEN = " The network, and what that user may read or write, stay open to them."
_TO_DO = (
    "give the URL of a SandboxFusion server (--sandbox_url URL), or let programs run with limits "
    "only (--allow_unsafe_code): they can then use the network and this user's files"
)


@dataclass(frozen=True)
class Tier:
    """name: "sandbox fusion", "namespaces" or "process only". plan: of `local.py`, "" if remote."""

    name: str
    plan: str
    sentence: str


def _works(ran: list[Ran]) -> bool:
    return len(ran) == 1 and ran[0].ended == "exit" and ran[0].stdout.strip() == _OUT.strip()


def try_plan(plan: str) -> str:
    """Why the plan does not work here, "" when it does."""
    job = Job(PROBE, ({"source": None, "stdin": _IN},))
    try:
        ran = run_local(plan, job, threading.Event())
    except Refused as error:
        return str(error)
    except Failure as error:
        return error.reason
    return "" if _works(ran) else "a program that should work does not work there"


def _process_tier() -> Tier:
    if os.geteuid() == 0 and not try_plan("other user"):
        who = f"Programs run as nobody, not isolated: an empty environment, {_LIMITS}."
        return Tier("process only", "other user", who + _OPEN)
    why = try_plan("same user")
    if why:
        raise CannotStart(f"programs cannot be run on this machine: {why}")
    who = f"Programs run as this user, not isolated: an empty environment, {_LIMITS}."
    return Tier("process only", "same user", who + _OPEN)


_lock = threading.Lock()


@lru_cache(maxsize=2)
def _local(allow_unsafe_code: bool) -> Tier:
    why = try_plan("namespaces")
    if not why:
        return Tier("namespaces", "namespaces", f"{_NAMESPACES}{_LIMITS}.")
    if allow_unsafe_code:
        return _process_tier()
    raise CannotStart(f"programs cannot be isolated on this machine ({why}): {_TO_DO}")


def _remote(url: str) -> Tier:
    if not url.startswith(("http://", "https://")):
        raise CannotStart(f"--sandbox_url {shown(url)!r} is no URL; type http://HOST:PORT")
    try:
        task = {"source": None, "stdin": _IN}
        ran = run_remote(url, Job(PROBE, (task,)), task, threading.Event(), tries=3)
    except Failure as error:
        raise CannotStart(f"the sandbox does not answer: {error.reason}") from None
    if not _works([ran]):
        raise CannotStart(f"{shown(url)} answers, but does not run a simple Python program")
    sentence = f"Programs run in the sandbox at {shown(url)}; that server isolates them."
    return Tier("sandbox fusion", "", sentence)


def isolation(sandbox_url: str | None = None, allow_unsafe_code: bool = False) -> Tier:
    """The tier in use; runs a small program to find out, once for this machine. Blocks.

    Raises CannotStart with what to do.
    """
    if sandbox_url is not None:
        return _remote(sandbox_url)
    with _lock:  # rows that come together wait for one answer
        return _local(allow_unsafe_code)
