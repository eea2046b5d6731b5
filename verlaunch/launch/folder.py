"""A run's output folder: one run at a time, and only ever the same run.

    check_writable(folder)
    with locked(folder):
        check_identity(folder, {"model": "Qwen/Qwen2.5-0.5B", ...})
        write_facts(folder, identity, config_yaml, "./train.sh --lr 1e-5")

`run.json` says which model, data and reward the folder belongs to. The same command continues it;
another one is refused, with the two ways out. Nothing that an earlier run wrote is overwritten:
--resume never moves it aside.
"""

import contextlib
import fcntl
import json
import os
import re
import shlex
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from verlaunch.cluster import tokens
from verlaunch.cluster.facts import Node
from verlaunch.cluster.place import Place
from verlaunch.errors import UserError
from verlaunch.machine import leftovers, packages
from verlaunch.machine.hardware import Machine
from verlaunch.record.identity import IDENTITY

OURS = ("checkpoints", "metrics", "metrics.jsonl", "samples", IDENTITY, "config.yaml",
        "command.sh", "environment.json", "report.html", "epochs", "exported",
        "trackers", "nodes")  # fmt: skip
KEPT = ("lock", tokens.FILE.name)  # of logs/: what the attempt that is just starting holds


def _take(lock: IO[str]) -> None:
    """Raises BlockingIOError. Twice, because a report that is just being made looks at the lock."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        time.sleep(0.1)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _holder(lock: IO[str]) -> str:
    """Its machine as well, where that is another one."""
    lock.seek(0)
    pid, _, host = lock.read().strip().partition(" ")
    where = f" on {host}" if host not in ("", socket.gethostname()) else ""
    return f"process {pid or 'unknown'}{where}"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[str]:
    """Holds the folder for this process; released by the system however the process ends.

    What a killed attempt has left running is ended first; yields a sentence about it, or "".
    """
    told = ""
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    with (folder / "logs" / "lock").open("a+") as lock:
        try:
            _take(lock)
        except BlockingIOError:
            raise UserError(
                f"Another run is using {folder} ({_holder(lock)}). "
                "Wait for it, or give this one its own folder with --run_name NAME."
            ) from None
        except OSError:
            pass  # a network disk without locks; better unlocked than not at all
        else:
            told = leftovers.end(folder)  # whoever started them is dead, or we had no lock
        lock.truncate(0)
        lock.write(f"{os.getpid()} {socket.gethostname()}")
        lock.flush()
        yield told


def set_aside(folder: Path) -> Path | None:
    """Moves an earlier run's files to before-TIME inside the folder; None when there are none."""
    present = [name for name in OURS if (folder / name).exists()]
    logs = [path.name for path in (folder / "logs").glob("*")]
    present += [f"logs/{name}" for name in logs if name not in KEPT]
    if not present:
        return None
    aside = _unused(folder / time.strftime("before-%Y%m%d-%H%M%S"))
    (aside / "logs").mkdir(parents=True)
    for name in present:
        shutil.move(folder / name, aside / name)
    return aside


def _unused(path: Path) -> Path:
    tries = (path if i == 0 else path.with_name(f"{path.name}-{i}") for i in range(10**6))
    return next(p for p in tries if not p.exists())


def command_line(variables: Mapping[str, str], words: Sequence[str]) -> str:
    """What to type for the same run: variables that set flags, then the words."""
    settings = [f"{name}={shlex.quote(value)}" for name, value in variables.items()]
    return " ".join([*settings, shlex.join(words)])


def write_facts(
    folder: Path,
    identity: Mapping[str, Any],
    config_yaml: str,
    command: str,
    place: Place | None = None,
) -> None:
    """run.json, config.yaml and command.sh. Keys and other secrets are never among them.

    `place`: of node 0, in a run of several machines.
    """
    (folder / IDENTITY).write_text(json.dumps(identity, indent=1) + "\n")
    (folder / "config.yaml").write_text(config_yaml)
    script = folder / "command.sh"
    lines = ["#!/bin/sh", "# Runs this again, from where it stands."]
    if place:
        lines += _on_each(place)
        command = OWN_RANK.sub("", command)
    lines += [f"cd {shlex.quote(os.getcwd())} || exit 1", command]
    script.write_text("\n".join(lines) + "\n")
    script.chmod(0o755)


# A variable or a flag. Without it the script takes NODE_RANK as it is set, and 0 where it is not.
OWN_RANK = re.compile(r"(?<![^ ])(?:NODE_RANK=0 |--node[_-]rank[ =]0(?: |$))")


def _on_each(place: Place) -> list[str]:
    """How the other machines start it: by the scheduler that did it before, or by hand."""
    return [
        f"# It is a run of {place.nodes} machines: start this on each of them, by the scheduler "
        "that did so before,",
        "# or by hand with its own rank, which is 0 where it is not set:",
        f"#   NNODES={place.nodes} NODE_RANK=1 MASTER_ADDR={place.leader} sh command.sh",
    ]


def write_environment(
    folder: Path, hardware: str, machine: Machine, recipe: str, nodes: Sequence[Node] = ()
) -> None:
    """environment.json: versions and machine, for a later reader. `nodes`: of several."""
    facts = {
        "time": time.strftime("%Y-%m-%d %H:%M:%S%z"),
        "python": sys.version.split()[0],
        "hardware": hardware,
        "recipe": recipe,
        "cores": machine.cores,
        "memory_gib": round(machine.memory_gib, 1),
        "gpus": [gpu.name for gpu in machine.gpus],
        "versions": packages.versions(packages.ALL),
    }
    if nodes:
        facts["nodes"] = [_node(node) for node in nodes]
    (folder / "environment.json").write_text(json.dumps(facts, indent=1) + "\n")


def _node(node: Node) -> dict[str, Any]:
    """log: in the run's folder, what this node's processes printed."""
    shown = ("rank", "host", "address", "interface", "cores", "memory_gib", "gpus")
    log = f"nodes/{node.rank}/logs" if node.rank else "logs"
    return {**{name: getattr(node, name) for name in shown}, "log": log}
