"""How a run stands and how long it took, from its events.

    outcome(history, done=12)   # Outcome("failed", "the judge failed on 40% of ...")
    elapsed_s(history.events)   # time that the run was going, not what lies between its attempts

A run that was killed left no word; nobody holds its folder's lock any more.
"""

import fcntl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from verlaunch.record.report.history import History, Line

State = Literal["running", "finished", "stopped", "failed"]

ENDED = "ended"  # the launcher's last event: exit code, and the last error it saw
ASKED_TO_STOP = (129, 130, 143)  # exit codes: SIGHUP, Ctrl-C, SIGTERM


@dataclass(frozen=True)
class Outcome:
    state: State
    reason: str | None = None


def attempts(events: Sequence[Line]) -> Iterator[list[Line]]:
    """Events of each start of the run."""
    attempt: list[Line] = []
    for event in events:
        if event.get("phase") == "starting ray" and attempt:
            yield attempt
            attempt = []
        attempt.append(event)
    if attempt:
        yield attempt


def elapsed_s(events: Sequence[Line]) -> float:
    return sum(attempt[-1]["time"] - attempt[0]["time"] for attempt in attempts(events))


def total_steps(history: History) -> int | None:
    told = [event["total_steps"] for event in history.events if event.get("total_steps")]
    configured = history.config.get("trainer", {}).get("total_training_steps")
    return told[-1] if told else configured


def resumed_after(events: Sequence[Line]) -> list[int]:
    """Steps that later attempts went on from."""
    return [event["step"] for event in events if event.get("phase") == "ready" and event["step"]]


def is_in_use(history: History) -> bool:
    """Whether a process holds the folder. Asks for a shared lock and gives it back at once."""
    try:
        with (history.folder / "logs" / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:  # held, or on a disk without locks, where this can't be known
        return True
    return False


def outcome(history: History, done: int) -> Outcome:
    """Of the last attempt. done: the last step."""
    *_, last = [[], *attempts(history.events)]
    told: dict[str, Any] = {event["event"]: event for event in last}
    if "failed" in told:
        return Outcome("failed", told["failed"]["reason"])
    if "died" in told:
        return Outcome("failed", f"the {told['died']['process']} died")
    ended = told.get(ENDED, {"code": None})
    if ended["code"] in ASKED_TO_STOP:
        return Outcome("stopped", "it was asked to stop")
    if "finished" in told:
        whole = done >= (total_steps(history) or 0)
        return Outcome("finished") if whole else Outcome("stopped", "it was asked to stop")
    if ended["code"] is not None:
        return Outcome("failed", ended.get("reason") or f"it ended with exit code {ended['code']}")
    if is_in_use(history):
        return Outcome("running")
    phases = [event["phase"] for event in last if event["event"] == "phase"]
    if not phases:
        return Outcome("stopped", "it did not start")
    return Outcome("failed", f"it ended without a word, in the phase {phases[-1]!r}")
