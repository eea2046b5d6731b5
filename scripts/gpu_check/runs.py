"""A run that is watched, and always ended: by its budget, by a fault, by Ctrl-C, by our own death.

    with launched(check, "lora", words) as run:
        steps = run.steps(4)          # lines of metrics.jsonl with a whole step each

Nothing outlives the `with`: the launcher is killed, and its guardian ends the rest. When this
process is killed the kernel kills the launcher.
"""

import contextlib
import json
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gpu_check.check import Check, Failure
from verlaunch.config.flags import load_table
from verlaunch.machine import leftovers, processes, run_guarded
from verlaunch.record.channel import METRICS, Tail

POLL_S = 0.1
GONE_S = 30.0
LAST_WORDS, WIDTH = 3, 160  # lines, characters of each
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def environment(check: Check) -> dict[str, str]:
    """The user's, without what would be taken for flags, off the network, with a cache of ours."""
    flags = {flag.env for flag in load_table() if flag.env}
    kept = {name: value for name, value in os.environ.items() if name not in flags}
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    return {**kept, **offline, "VERLAUNCH_CACHE": str(check.folder / "cache")}


def launcher(folder: Path, words: list[str]) -> list[str]:
    return [sys.executable, "-m", "verlaunch", *words, "--output_dir", str(folder)]


class Run:
    """metrics: where its steps are told, one JSON object per line."""

    def __init__(self, check: Check, process: subprocess.Popen, log: Path, metrics: Path) -> None:
        self.check, self.process, self.log, self.metrics = check, process, log, metrics

    def wait_for(self, there: Callable[[], bool], what: str) -> None:
        """Raises Failure when the run ends before, or its time is over."""
        while not there():
            if self.process.poll() is not None and not there():
                code = self.process.returncode
                raise Failure(f"ended with code {code} before {what}: {self.last_words()}")
            if self.check.left_s <= 0:
                raise Failure(f"no {what} within its time: {self.last_words()}")
            time.sleep(POLL_S)

    def finish(self) -> None:
        """Until it has ended by itself. Raises Failure where it did not end well."""
        self.wait_for(lambda: self.process.poll() is not None, "end")
        if self.process.returncode:
            raise Failure(f"ended with code {self.process.returncode}: {self.last_words()}")

    def steps(self, count: int) -> list[dict[str, Any]]:
        """The first steps that it took. Raises Failure, also where a loss is no number."""
        self.wait_for(lambda: len(read_steps(self.metrics)) >= count, f"step {count}")
        found = read_steps(self.metrics)[:count]
        for line in found:
            check_finite(line)
        return found

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def last_words(self) -> str:
        text = COLOURS.sub("", self.log.read_text(errors="replace"))
        lines = [line.strip()[:WIDTH] for line in text.splitlines()]
        said = [line for line in lines if line]
        errors = [line for line in said if line.startswith("error: ")]
        return " | ".join((errors or said)[-LAST_WORDS:]) + f" ({self.log})"


def read_steps(file: Path) -> list[dict[str, Any]]:
    """Of our record, and of verl's own file, whose numbers are one level further down."""
    lines = [{**line.get("data", {}), **line} for line in Tail(file).new()]
    return [line for line in lines if "timing_s/step" in line]


def check_finite(line: dict[str, Any]) -> None:
    """Policy and critic have learnt something: gradients are numbers, and are not all zero."""
    for name in ("actor/grad_norm", "critic/grad_norm"):
        value = line.get(name)
        if value is None or not math.isfinite(value) or value <= 0:
            raise Failure(f"{name} is {value} in step {line['step']}")


@contextlib.contextmanager
def launched(check: Check, name: str, words: list[str]) -> Iterator[Run]:
    """`python -m verlaunch` with these words."""
    folder = check.run_folder(name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    log = folder.with_name(f"{folder.name}.log")
    parent = os.getpid()
    with log.open("ab") as out:
        process = subprocess.Popen(
            launcher(folder, words),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=check.folder,
            env=environment(check),
            start_new_session=True,  # a terminal's Ctrl-C is ours to handle
            preexec_fn=lambda: processes.die_with(parent),
        )
    try:
        yield Run(check, process, log, folder / METRICS)
    finally:
        process.kill()  # asked nicely, it would write a checkpoint first
        process.wait()
        wait_until_gone(folder)


def wait_until_gone(folder: Path) -> None:
    """A guardian that has lost its launcher needs a moment; what it leaves is ended here."""
    until = time.monotonic() + GONE_S
    mark = (leftovers.MARK, str(folder.resolve()))
    while processes.marked(*mark) and time.monotonic() < until:
        time.sleep(POLL_S)
    leftovers.end(folder.resolve())


@contextlib.contextmanager
def under_guardian(
    check: Check, folder: Path, command: list[str], env: dict[str, str], metrics: Path
) -> Iterator[Run]:
    """Any other command whose processes must not outlive it; it finds $VERLAUNCH_TEMP."""
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    log = folder.with_name(f"{folder.name}.log")
    inherited = {**environment(check), **env}
    with run_guarded.run(command, log, folder.resolve(), inherited) as process:
        yield Run(check, process, log, metrics)


def planned_memory(check: Check, name: str, words: list[str]) -> list[dict[str, Any]]:
    """The phases of a command's plan: of a node's memory, or of a card's. Raises Failure."""
    asked = [*launcher(check.run_folder(name), words), "--dry_run", "json"]
    done = subprocess.run(
        asked, capture_output=True, text=True, env=environment(check), cwd=check.folder
    )
    try:
        plan = json.loads(done.stdout)
    except ValueError:
        raise Failure(f"no plan: {done.stderr.strip()[-300:]}") from None
    if not plan["ok"]:
        raise Failure(" ".join(plan["problems"]))
    phases = plan["memory"]["gpu" if check.profile.hardware == "gpu" else "host"]
    if not phases:
        raise Failure(f"the plan says nothing of memory: {plan['memory']['note']}")
    return phases
