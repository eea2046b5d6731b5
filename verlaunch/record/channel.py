"""The files through which a run tells what it does: metrics, events, a request to stop.

    channel = Channel(Path("outputs"))
    channel.phase("rollout", step=3)          # logs/events.jsonl
    channel.log(data={"critic/score/mean": 0.5}, step=3)   # metrics.jsonl
    channel.stop_requested()                  # what logs/stop says

Whoever writes (the trainer, in a Ray actor) and whoever reads (the screen) need nothing else of
each other. Lines are only ever appended: a resumed run goes on where the file ends, and a step that
is trained again after a crash has a second line, which is the one that counts. Left out on purpose:
a full disk, which each writer meets in its own way (the trainer's: engine/patience.py).
"""

import contextlib
import json
import math
import os
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from verlaunch.machine.disk import replacing
from verlaunch.record.alerts.watch import Alert

HEARTBEAT = Path("logs", "heartbeat")
EVENTS = Path("logs", "events.jsonl")
METRICS = Path("metrics.jsonl")
SAMPLES = Path("samples", "train.jsonl")
ROWS = Path("samples", "rows.jsonl")  # which rows of the data each step was trained on
ALERTS = Path("metrics", "alerts.jsonl")
FULL = Path("logs", "disk-full")  # stands while the trainer waits for room to write a line
STOP_AFTER_STEP, STOP_SOON = "after this step", "soon"  # what logs/stop says
BY_STEP = (METRICS, SAMPLES, ROWS, ALERTS)  # files whose lines belong to a step each


def _number(value: Any) -> float | int | None:
    """A JSON number, null for NaN and infinity. Raises TypeError or ValueError for other things."""
    number = float(value)
    if not math.isfinite(number):
        return None
    return int(number) if isinstance(value, int) else number


def numbers(data: dict[str, Any]) -> dict[str, float | int | None]:
    found = {}
    for name, value in data.items():
        try:
            found[name] = None if value is None else _number(value)
        except (TypeError, ValueError):
            continue  # text, lists and tables belong to other trackers
    return found


def _mend(path: Path) -> None:
    """Ends a line that a killed process left half written, so that the next one stands alone."""
    if path.exists() and path.stat().st_size:
        with path.open("rb+") as file:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")


class Channel:
    """One run's folder, seen from the process that trains."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.metrics = folder / METRICS
        self.events = folder / EVENTS
        self.alerts = folder / ALERTS
        self.stop = folder / "logs" / "stop"
        self.events.parent.mkdir(parents=True, exist_ok=True)
        for path in (self.metrics, self.events, self.alerts):
            _mend(path)

    def append(self, path: Path, *lines: dict[str, Any]) -> None:
        """All of them, or none. Raises OSError."""
        path.parent.mkdir(exist_ok=True)
        text = "".join(json.dumps(line, ensure_ascii=False, default=str) + "\n" for line in lines)
        _append(path, text.encode(errors="replace"))

    def event(self, kind: str, **fields: Any) -> None:
        self.append(self.events, {"time": round(time.time(), 3), "event": kind, **fields})

    def phase(self, name: str, **fields: Any) -> None:
        self.event("phase", phase=name, **fields)

    def log(self, data: dict[str, Any], step: int) -> None:
        """verl's tracking interface: one line per call, numbers only, null for NaN and infinity."""
        line = {"step": step, "time": round(time.time(), 3), **numbers(data)}
        self.append(self.metrics, line)
        self.event("metrics", step=step)

    def alert(self, alert: Alert) -> None:
        self.append(self.alerts, asdict(alert))
        self.event("alert", **asdict(alert))

    def stop_requested(self) -> str:
        """STOP_AFTER_STEP, STOP_SOON, or "" when nobody asked."""
        try:
            return self.stop.read_text() or STOP_AFTER_STEP
        except OSError:
            return ""


def _append(path: Path, text: bytes) -> None:
    """Nothing is left of a text that does not fit on the disk."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    before = os.fstat(file).st_size
    try:
        while text:
            text = text[os.write(file, text) :]
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(file, before)
        raise
    finally:
        os.close(file)


def has_step(folder: Path, step: int) -> bool:
    """Whether metrics.jsonl has a line of this step."""
    return any(line.get("step") == step for line in Tail(folder / METRICS).new())


def has_ended(folder: Path, step: int, exported: bool) -> bool:
    """Whether a run that ended with this step has done all that comes after its last checkpoint."""
    wanted = {"finished", "exported"} if exported else {"finished"}
    return wanted <= {
        line.get("event") for line in Tail(folder / EVENTS).new() if line.get("step") == step
    }


def rewind(folder: Path, step: int) -> None:
    """Takes steps after `step` out of every file of steps, before a run does them again.

    A run that died had gone on after its last checkpoint; its lines are kept in logs/.
    """
    for file in (folder / name for name in BY_STEP):
        # As bytes: a text may hold what str.splitlines takes for the end of a line (U+2028).
        lines = file.read_bytes().splitlines(keepends=True) if file.exists() else []
        undone = [line for line in lines if not _is_until(line, step)]
        if undone:
            aside = time.strftime(f"undone-{file.stem}-%Y%m%d-%H%M%S.jsonl")
            (folder / "logs" / aside).write_bytes(b"".join(undone))
            with replacing(file) as partial:
                partial.write_bytes(b"".join(line for line in lines if _is_until(line, step)))


def _is_until(line: bytes, step: int) -> bool:
    try:
        return json.loads(line)["step"] <= step
    except (ValueError, KeyError, TypeError):
        return False  # half a line, from a machine that died


class Tail:
    """Complete new lines of a growing file, each time it is asked."""

    def __init__(self, path: Path, from_end: bool = False) -> None:
        self.path = path
        self.position = path.stat().st_size if from_end and path.exists() else 0

    def lines(self) -> list[bytes]:
        try:
            with self.path.open("rb") as file:
                file.seek(self.position)
                *whole, rest = file.read().split(b"\n")
                self.position = file.tell() - len(rest)
        except FileNotFoundError:
            return []
        return whole

    def new(self) -> Iterator[dict[str, Any]]:
        """Of a JSONL file."""
        for line in self.lines():
            try:
                yield json.loads(line)
            except ValueError:
                continue  # empty, or the half of a line that a killed process left


def heartbeat(folder: Path) -> float:
    """When work was last done, in seconds since 1970; 0 before the first time."""
    try:
        return (folder / HEARTBEAT).stat().st_mtime
    except OSError:
        return 0.0
