"""The file for a bug report: what was found, the machine and its settings, and no secrets.

    write(Path("doctor.json"), report(lines, patient, "./train.sh doctor --quick", scrub))

Left out on purpose: anything that is not shown to be harmless; see scrub.py.
"""

import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from verlaunch import __version__
from verlaunch.errors import UserError
from verlaunch.machine import packages, variables
from verlaunch.machine.scrub import Scrub
from verlaunch.tools.doctor.checks import CHECKS
from verlaunch.tools.doctor.look import Line, Patient
from verlaunch.tools.doctor.machine import driver, system
from verlaunch.tools.doctor.show import summary


def _check(line: Line) -> dict[str, Any]:
    limits = {check.name: check.limit_s for check in CHECKS}
    rest = {"seconds": round(line.seconds, 1), "limit_s": limits.get(line.name)}
    return {**asdict(line), **rest}


def _machine(patient: Patient) -> dict[str, Any]:
    has = patient.machine
    return {
        "cores": has.cores,
        "memory_gib": round(has.memory_gib, 1),
        "gpus": [{"name": gpu.name, "memory_gib": round(gpu.memory_gib, 1)} for gpu in has.gpus],
        "driver": driver(patient.host),
        "system": system(),
        "python": platform.python_version(),
        "executable": sys.executable,
    }


def report(lines: Sequence[Line], patient: Patient, command: str, scrub: Scrub) -> dict[str, Any]:
    return scrub.all(
        {
            "verlaunch": __version__,
            "time": time.strftime("%Y-%m-%d %H:%M:%S%z"),
            "command": command,
            "hardware": patient.hardware,
            "recipe": patient.config.recipe,
            "summary": summary(list(lines)),
            "checks": [_check(line) for line in lines],
            "machine": _machine(patient),
            "versions": packages.versions(packages.ALL),
            "environment": variables.shown(os.environ),
        }
    )


def writable(file: Path) -> Path:
    """The same file, before minutes are spent. Leaves nothing behind. Raises UserError."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        is_new = not file.exists()
        with file.open("a"):
            pass
        if is_new:
            file.unlink()
        return file
    except OSError as error:
        raise UserError(
            f"--output {file} cannot be written ({error.strerror}). "
            "Name another file: --output /tmp/doctor.json"
        ) from None


def write(file: Path, told: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
