"""A node's part of the run: its share of Ray under a guardian, with a log of its own, to the end.

    work(joined, start, folder)     # folder: outputs/nodes/1; the code is joined.code

Ctrl-C and SIGTERM are passed on: node 0 ends its step and saves, and then everybody ends; a second
one ends this node at once. Without node 0 it ends by itself. `start` is node 0's message: what to
give to Ray, and the variables that its libraries need.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from verlaunch.cluster import tokens
from verlaunch.cluster.peer import Joined
from verlaunch.launch import folder as folders
from verlaunch.launch.run import stop_signals
from verlaunch.machine import run_guarded
from verlaunch.machine.processes import by_signal
from verlaunch.record.channel import EVENTS, Tail

NODE = (sys.executable, "-m", "verlaunch.engine.processes.node")
CONCLUSION_S = 20.0  # for node 0 to say how the run ended, when our part has ended before


def work(joined: Joined, start: dict[str, Any], folder: Path) -> None:
    with folders.locked(folder) as left_behind, stop_signals() as asked:
        if left_behind:
            print(left_behind)
        log = folder / "logs" / time.strftime("node-%Y%m%d-%H%M%S.log")
        log.touch()
        print(f"Log: {log}", flush=True)
        facts = folder / "logs" / "start.json"
        facts.write_text(json.dumps({**start["ray"], "record": str(folder)}))
        env = _open(start["env"])
        events = Tail(folder / EVENTS, from_end=True)
        with run_guarded.run([*NODE, str(facts)], log, folder, env) as guardian:
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
