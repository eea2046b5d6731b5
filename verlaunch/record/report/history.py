"""What a run has left on disk, read back as plain data: the one source of every report.

    run = read(Path("outputs"))
    run.steps[-1]["critic/score/mean"], run.validations[0]["val-core/math/reward/mean@1"]

Any file may be missing or half written: the run is perhaps still going on.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from verlaunch.record.channel import ALERTS, EVENTS, METRICS, SAMPLES
from verlaunch.record.report.names import only_validates

Line = dict[str, Any]


@dataclass(frozen=True)
class History:
    """Lines are in order of steps; of two lines for a step the later one counts."""

    folder: Path
    steps: list[Line]  # verl's names beside "step" and "time"; null where a number was not finite
    validations: list[Line]  # only the lines without training, such as the one before step 1
    samples: list[Line]
    alerts: list[Line]
    events: list[Line]
    identity: Line  # run.json
    environment: Line
    config: Line  # config.yaml, resolved
    command: str


def lines(file: Path) -> Iterator[Line]:
    """Whole lines of a JSONL file; none where there is no file."""
    if not file.is_file():
        return
    for text in file.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict):
            yield line


def _json(file: Path) -> Line:
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _yaml(file: Path) -> Line:
    try:
        found = yaml.load(file.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def _command(file: Path) -> str:
    text = file.read_text().splitlines() if file.is_file() else []
    return text[-1] if text else ""


def read_facts(folder: Path) -> History:
    """What does not grow with the steps; the lists are empty."""
    return History(
        folder,
        [],
        [],
        [],
        [],
        [],
        _json(folder / "run.json"),
        _json(folder / "environment.json"),
        _yaml(folder / "config.yaml"),
        _command(folder / "command.sh"),
    )


def read(folder: Path) -> History:
    steps: dict[int, Line] = {}
    validations: dict[int, Line] = {}
    for line in lines(folder / METRICS):
        kind = validations if only_validates(line) else steps
        kind[line["step"]] = line
    return replace(
        read_facts(folder),
        steps=[steps[step] for step in sorted(steps)],
        validations=[validations[step] for step in sorted(validations)],
        samples=list(lines(folder / SAMPLES)),
        alerts=list(lines(folder / ALERTS)),
        events=list(lines(folder / EVENTS)),
    )
