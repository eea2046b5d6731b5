"""A check in a process of its own: it may crash, hang or be killed, and the doctor goes on.

    outcome = ask("imports", {"modules": ["torch"]}, limit_s=90, env=patient.env, say=print)
    outcome.facts    # what `work` of doctor/inside/imports.py returned; None when it did not
    outcome.why      # "killed by SIGSEGV while importing torch"

The guardian of training runs stands in between, so that nothing outlives a check: no Ray, no rank,
no temporary file. Left out on purpose: asking again.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verlaunch.machine import processes, run_guarded
from verlaunch.paths import temp_dir

POLL_S = 0.1
LOG_LINES = 60  # kept of a failure
LONGEST_WHY = 300  # characters
BY_SIGNAL = 128  # the guardian's exit code is this and the signal's number
GIVEN, TOLD, LOG = "given.json", "told.jsonl", "log"


@dataclass(frozen=True)
class Outcome:
    facts: dict[str, Any] | None
    why: str = ""  # there are no facts
    log: tuple[str, ...] = ()


def ask(
    module: str,
    given: dict[str, Any],
    limit_s: float,
    env: Mapping[str, str],
    say: Callable[[str], None],
) -> Outcome:
    """`module`: of doctor/inside."""
    command = [sys.executable, "-m", "verlaunch.tools.doctor.inside", module]
    return run(command, given, limit_s, env, say)


def run(
    command: Sequence[str],
    given: dict[str, Any],
    limit_s: float,
    env: Mapping[str, str],
    say: Callable[[str], None],
) -> Outcome:
    """The command gets a folder with GIVEN, and writes TOLD there."""
    with tempfile.TemporaryDirectory(prefix="doctor-", dir=temp_dir()) as name:
        folder = Path(name)
        # A file of ours alone: a judge's address may hold a password, and `ps` shows arguments.
        (folder / GIVEN).write_text(json.dumps(given))
        (folder / "logs").mkdir()  # for the guardian's note of its temporary folder
        own = {**env, "PYTHONUNBUFFERED": "1"}  # so that its last words come last
        with run_guarded.run([*command, name], folder / LOG, folder, own) as guardian:
            in_time = _follow(guardian, folder, limit_s, say)
        return _outcome(folder, guardian.returncode, None if in_time else limit_s)


def _follow(
    guardian: subprocess.Popen, folder: Path, limit_s: float, say: Callable[[str], None]
) -> bool:
    """Whether it has ended within its limit."""
    until = time.monotonic() + limit_s
    while guardian.poll() is None:
        if time.monotonic() > until:
            return False
        say(_doing(_told(folder)))
        time.sleep(POLL_S)
    return True


def _told(folder: Path) -> list[dict[str, Any]]:
    """What came so far; half a line, and what is no JSON object, is left out."""
    found = []
    try:
        lines = (folder / TOLD).read_text(errors="replace").splitlines()
    except OSError:
        return []
    for line in lines:
        try:
            told = json.loads(line)
        except ValueError:
            continue
        found += [told] if isinstance(told, dict) else []
    return found


def _doing(told: Sequence[dict[str, Any]]) -> str:
    return next((str(one["doing"]) for one in reversed(told) if "doing" in one), "starting")


def _outcome(folder: Path, code: int, limit_s: float | None) -> Outcome:
    told = _told(folder)
    done = next((one["done"] for one in told if isinstance(one.get("done"), dict)), None)
    if done is not None:  # whatever its ending was like
        return Outcome(done)
    log = _log(folder)
    failed = next((str(one["failed"]) for one in told if "failed" in one), "")
    return Outcome(None, (failed or _ended(code, _doing(told), limit_s, log))[:LONGEST_WHY], log)


def _ended(code: int, doing: str, limit_s: float | None, log: Sequence[str]) -> str:
    if limit_s is not None:
        return f"still {doing} after {limit_s:g} s, and stopped"
    if code > BY_SIGNAL:
        return f"killed {processes.by_signal(code - BY_SIGNAL)} while {doing}"
    last = f": {log[-1]}" if log else ""
    return f"ended with code {code} and no result while {doing}{last}"


def _log(folder: Path) -> tuple[str, ...]:
    said = (folder / LOG).read_text(errors="replace").splitlines()
    return tuple(line.rstrip() for line in said if line.strip())[-LOG_LINES:]


class Teller:
    """The child's side."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / TOLD

    def tell(self, **what: Any) -> None:
        with self.file.open("a") as out:
            out.write(json.dumps(what) + "\n")
            out.flush()
            os.fsync(out.fileno())  # for a crash of the whole machine, too

    def doing(self, what: str) -> None:
        self.tell(doing=what)
