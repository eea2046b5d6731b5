"""What a run has left on disk, read back as plain data: the one source of every report.

    run = read(Path("outputs"))
    run.steps[-1]["critic/score/mean"], run.validations[0]["val-core/math/reward/mean@1"]

Any file may be missing or half written: the run is perhaps still going on.
"""

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from verlaunch.record.channel import ALERTS, EVENTS, METRICS, SAMPLES, Tail
from verlaunch.record.report.named_steps import Series
from verlaunch.record.report.names import Line, only_validates


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

    @functools.cached_property
    def series(self) -> Series:
        return Series([*self.validations, *self.steps])


def lines(file: Path) -> list[Line]:
    """Whole lines of a JSONL file; none where there is no file."""
    return [line for line in Tail(file).new() if isinstance(line, dict)]


def _facts(file: Path, parse: Callable[[str], Any] = json.loads) -> Line:
    try:
        found = parse(file.read_text())
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def _yaml(text: str) -> Any:
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _command(file: Path) -> str:
    text = file.read_text().splitlines() if file.is_file() else []
    return text[-1] if text else ""


def read(folder: Path) -> History:
    steps: dict[int, Line] = {}
    validations: dict[int, Line] = {}
    for line in lines(folder / METRICS):
        kind = validations if only_validates(line) else steps
        kind[line["step"]] = line
    return History(
        folder=folder,
        steps=[steps[step] for step in sorted(steps)],
        validations=[validations[step] for step in sorted(validations)],
        samples=lines(folder / SAMPLES),
        alerts=lines(folder / ALERTS),
        events=lines(folder / EVENTS),
        identity=_facts(folder / "run.json"),
        environment=_facts(folder / "environment.json"),
        config=_facts(folder / "config.yaml", _yaml),
        command=_command(folder / "command.sh"),
    )
