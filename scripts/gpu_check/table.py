"""The rows of the check: as a table for people, as JSON for programs.

part       piece    result      s  what was seen
demo       learns   passed     71  0.53 -> 0.92 of the sums right in 20 steps
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from gpu_check.check import FAILED, PASSED, SKIPPED, Check, Row

VERSION = 1


def line(row: Row) -> str:
    return f"{row.part:13} {row.name:22} {row.state:8} {row.seconds:5.0f}  {row.said}"


def table(rows: Sequence[Row]) -> str:
    head = f"{'part':13} {'piece':22} {'result':8} {'s':>5}  what was seen"
    return "\n".join([head, *(line(row) for row in rows)])


def all_passed(rows: Sequence[Row]) -> bool:
    """Something passed, and nothing failed."""
    states = {row.state for row in rows}
    return PASSED in states and FAILED not in states


def summary(rows: Sequence[Row], seconds: float) -> str:
    counts = {s: sum(row.state == s for row in rows) for s in (PASSED, FAILED, SKIPPED)}
    said = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    return f"{said}; {seconds:.0f} s"


def write_json(
    file: Path, check: Check, rows: Sequence[Row], seconds: float, complete: bool
) -> None:
    """complete: no row is still to come; a check that was ended before has not passed."""
    found = {
        "version": VERSION,
        "date": time.strftime("%Y-%m-%d %H:%M:%S%z"),
        "hardware": check.profile.hardware,
        "complete": complete,
        "passed": complete and all_passed(rows),
        "seconds": round(seconds, 1),
        "profile": asdict(check.profile),
        "rows": [asdict(row) for row in rows],
    }
    file.write_text(json.dumps(found, indent=1) + "\n")
