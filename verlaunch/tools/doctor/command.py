"""./train.sh doctor: from the words typed to one line per check, a file, and an exit code.

main(["--quick"])    # 0: nothing is BAD

What a check raises is that check's BAD line, never the end: a doctor has to finish.
"""

import os
import shlex
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from verlaunch.config.compose import compose, run_folder
from verlaunch.config.flags import Request
from verlaunch.engine.environment import for_run
from verlaunch.errors import UserError
from verlaunch.inputs.choice import with_demo
from verlaunch.machine import hardware, host
from verlaunch.machine.scrub import Scrub
from verlaunch.paths import as_typed, cache_dir, temp_dir
from verlaunch.tools.doctor import attach
from verlaunch.tools.doctor.checks import CHECKS, Check
from verlaunch.tools.doctor.flags import HELP, NAME, parse
from verlaunch.tools.doctor.look import BAD, Line, Patient, Say
from verlaunch.tools.doctor.remedies import BUG
from verlaunch.tools.doctor.show import Screen, summary


def _patient(request: Request) -> Patient:
    """Raises UserError for a mistake in the flags."""
    seen = hardware.look()
    found = "gpu" if seen.gpus else "cpu"
    values = with_demo(request.values, request.overrides, found)
    quick = values.pop("quick", False)
    config = compose(replace(request, values=values), found)
    env = {**os.environ, **for_run(config.hardware, dict(os.environ))}
    folder, has = run_folder(config), host.look()
    return Patient(seen, has, config.hardware, config, folder, cache_dir(), env, quick)


def chosen(only: Sequence[str], quick: bool) -> list[Check]:
    """Those asked for by name, even slow ones; in the table's order."""
    if only:
        return [check for check in CHECKS if check.name in only]
    return [check for check in CHECKS if not (quick and check.is_slow)]


def examine(check: Check, patient: Patient, say: Say) -> Line:
    began = time.monotonic()
    try:
        line = check.look(patient, say, check.limit_s)
    except UserError as error:
        line = Line(check.name, BAD, " ".join(error.problems), ("Fix it, and run this again",))
    except Exception as error:
        log = tuple(traceback.format_exc().splitlines())
        said = f"the check itself failed: {type(error).__name__}: {error}"
        line = Line(check.name, BAD, said, (BUG,), log=log)
    return replace(line, seconds=time.monotonic() - began)


def _opening(checks: Sequence[Check], patient: Patient) -> str:
    most = sum(check.limit_s for check in checks)
    return (
        f"verlaunch on this machine, {patient.hardware} profile: {len(checks)} "
        f"check{'s' * (len(checks) != 1)}, each stopped at its limit ({most / 60:.0f} minutes in "
        "all, mostly far less)."
    )


def _file(output: str | None, folder: Path) -> Path:
    """Raises UserError when the one named cannot be written. A run's folder may be what is ill."""
    if output is not None:
        return attach.writable(Path(output).expanduser())
    try:
        return attach.writable(folder / NAME)
    except UserError:
        return attach.writable(temp_dir() / NAME)


def _run(request: Request, words: Sequence[str]) -> int:
    only, output = request.values.pop("only", []), request.values.pop("output", None)
    patient, scrub, screen = _patient(request), Scrub.of(os.environ), Screen(sys.stdout)
    temp_dir()  # every check has its files there; raises UserError
    file = _file(output, patient.folder)
    checks = chosen(only, patient.quick)
    screen.say(_opening(checks, patient))
    lines = []
    for check in checks:
        screen.begin(check)
        lines.append(examine(check, patient, lambda what: screen.doing(scrub(what))))
        screen.end(_shown(lines[-1], scrub))
    command = f"{as_typed('./train.sh doctor')} {shlex.join(words)}".strip()
    attach.write(file, attach.report(lines, patient, command, scrub))
    screen.say(f"{summary(lines)} For a bug report: {file}")
    return int(any(line.verdict == BAD for line in lines))


def _shown(line: Line, scrub: Scrub) -> Line:
    """Screens are copied into bug reports as files are."""
    remedies = tuple(scrub(as_typed(remedy)) for remedy in line.remedies)
    return replace(line, seen=scrub(line.seen), remedies=remedies)


def main(words: Sequence[str]) -> int:
    request = parse(words, os.environ)
    if request.action == "help":
        print(as_typed(HELP), end="")
        return 0
    return _run(request, words)
