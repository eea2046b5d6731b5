"""A node's part of the run: its share of Ray under a guardian, with a log of its own, to the end.

    work(joined, part)      # the code is joined.code

Ctrl-C and SIGTERM are passed on: node 0 ends its step and saves, and then everybody ends; a second
one ends this node at once. Without node 0 it ends by itself. On a CPU the imports begin as soon as
this node is ready (head_start.py); what to give to Ray is node 0's next message.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verlaunch.cluster import tokens
from verlaunch.cluster.peer import Joined
from verlaunch.cluster.place import Place
from verlaunch.launch import folder as folders
from verlaunch.launch import head_start
from verlaunch.launch.head_start import Early
from verlaunch.launch.run import stop_signals
from verlaunch.machine import run_guarded
from verlaunch.machine.processes import by_signal
from verlaunch.record.channel import EVENTS, Tail

NODE = "verlaunch.engine.processes.node"
LOG = "node"  # its name begins so
CONCLUSION_S = 20.0  # for node 0 to say how the run ended, when our part has ended before


@dataclass(frozen=True)
class Part:
    """folder: outputs/nodes/1. env: what node 0 has handed over. early: imports begin at once."""

    folder: Path
    place: Place
    env: dict[str, str]
    early: bool


def work(joined: Joined, part: Part) -> None:
    with folders.locked(part.folder) as left_behind:
        if left_behind:
            print(left_behind)
        with _begin(part) as begun:
            if start := joined.wait_for("start"):
                _take_part(joined, part, start["ray"], begun)


def _begin(part: Part) -> contextlib.AbstractContextManager[Early | None]:
    if not part.early:
        return contextlib.nullcontext()
    return head_start.start(part.folder, part.place, _open(part.env), NODE, LOG)


def _take_part(joined: Joined, part: Part, ray: dict[str, Any], begun: Early | None) -> None:
    log = begun.log if begun else head_start.new_log(part.folder, LOG)
    print(f"Log: {log}", flush=True)
    facts = part.folder / "logs" / "start.json"
    facts.write_text(json.dumps({**ray, "record": str(part.folder)}))
    events = Tail(part.folder / EVENTS, from_end=True)
    command = (sys.executable, "-m", NODE, str(facts))
    env = _open(part.env)
    started = begun.train(facts) if begun else run_guarded.run(command, log, part.folder, env)
    with stop_signals() as asked, started as guardian:
        _watch(joined, guardian, asked)
        if guardian.poll() is not None and joined.code_of_run is None:
            _fail(joined, _why(events, guardian.returncode, log), log)


def _open(handed: dict[str, str]) -> dict[str, str]:
    """What is not set here; the token in any case, since a variable may be set and empty."""
    always = (tokens.VARIABLE,)
    return {n: text for n, text in handed.items() if n in always or n not in os.environ}


def _watch(joined: Joined, guardian: subprocess.Popen, asked: list[int]) -> None:
    """Until the run is over, our part has ended, or a second signal came."""
    told = 0
    while guardian.poll() is None and not joined.hears_the_end():
        if len(asked) == told:
            continue
        told += 1
        name = signal.Signals(asked[-1]).name
        if told > 1:
            print(f"{name}: leaving at once.", flush=True)
            joined.code_of_run = 128 + asked[-1]
            return
        joined.peer.send({"say": "asked", "signal": asked[0]})
        print(
            f"{name}: node 0 is asked to save and to stop. Again: this node leaves at once.",
            flush=True,
        )


def _why(events: Tail, code: int, log: Path) -> str:
    """Why our part has ended by itself."""
    died = next((event for event in events.new() if event["event"] == "died"), None)
    if died:
        return f"{died['process']} (process {died['pid']}) died"
    if code < 0 or code > 128:
        return f"its guardian was killed, {by_signal(-code if code < 0 else code - 128)}"
    words = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return words[-1] if words else f"its part of Ray ended with exit code {code}"


def _fail(joined: Joined, why: str, log: Path) -> None:
    """It broke, or node 0 has ended its own part a moment ago and will say so."""
    joined.peer.send({"say": "failed", "why": f"{why} (its log: {log})"})
    until = time.monotonic() + CONCLUSION_S
    while time.monotonic() < until:
        if joined.hears_the_end():
            return
    print(f"This node failed: {why}.", flush=True)
