"""The table of wrong inputs and wrong machines: tests/wrong/*.yaml, read and tried.

    place = Place(folder, model, cache)
    place.tell(row)    ->  what a user reads on standard error, and the exit code

Each is typed at the launcher in this process, in a folder with good.json (40 sums) and a tiny model
in `model`; what a row says of the machine replaces what would be seen of this one.
"""

import contextlib
import dataclasses
import io
import json
import os
import shlex
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import psutil
import yaml

from verlaunch import cli
from verlaunch.config.flags import load_table
from verlaunch.machine import hardware, host
from verlaunch.machine.hardware import Gpu, Machine

FOLDER = Path(__file__).with_name("wrong")
ROWS = [{"prompt": f"{i}+1=", "ground_truth": str(i + 1), "data_source": "math_reasoning"}
        for i in range(40)]  # fmt: skip
NO_GPU = Machine(cores=8, memory_gib=32.0)
NOBODYS = ("HF_TOKEN", "RAY_ADDRESS", "CUDA_VISIBLE_DEVICES", "TMPDIR")


@dataclass(frozen=True)
class Row:
    """what: the mistake. type: what stands after ./train.sh. says: all of the message, or warns: a
    sentence of the plan of a run that may start."""

    what: str
    type: str
    topic: str
    says: str = ""
    warns: str = ""
    env: dict[str, str] = dataclasses.field(default_factory=dict)
    files: dict[str, str] = dataclasses.field(default_factory=dict)
    machine: dict[str, Any] = dataclasses.field(default_factory=dict)
    host: dict[str, Any] = dataclasses.field(default_factory=dict)
    network: dict[str, list[str]] = dataclasses.field(default_factory=dict)


def rows() -> list[Row]:
    """All of them, by file."""
    return [
        Row(topic=file.stem, **row)
        for file in sorted(FOLDER.glob("*.yaml"))
        for row in yaml.safe_load(file.read_text(encoding="utf-8"))
    ]


def _machine(facts: dict[str, Any]) -> Machine:
    facts = dict(facts)
    count, memory_gib = facts.pop("gpus", 0), facts.pop("gpu_memory_gib", 80.0)
    cards = tuple(Gpu("NVIDIA Test", float(memory_gib), f"GPU-{i}") for i in range(count))
    return dataclasses.replace(NO_GPU, gpus=cards, **facts)


def _host(facts: dict[str, Any]) -> host.Host:
    """This machine's, with room for everything, but for what the row says."""
    roomy = {"shm_bytes": 2**36, "open_files": 2**20, "processes": None, "free_memory_gib": 1024.0,
             "busy": (), "ray": (), "cards": (), "smi_error": ""}  # fmt: skip
    known = dict(facts)
    for name, kind in (("busy", host.Busy), ("cards", host.Card)):
        known |= {name: tuple(kind(**one) for one in facts[name])} if name in facts else {}
    if "disks" in facts:
        known["disks"] = {name: host.Room(**room) for name, room in facts["disks"].items()}
    return dataclasses.replace(host.look(), **{**roomy, **known})


def _network(interfaces: dict[str, list[str]]) -> dict[str, list[Any]]:
    """As psutil tells it; this machine's where a row says nothing."""
    if not interfaces:
        return psutil.net_if_addrs()
    return {
        name: [SimpleNamespace(family=socket.AF_INET, address=one) for one in addresses]
        for name, addresses in {"lo": ["127.0.0.1"], **interfaces}.items()
    }


@contextlib.contextmanager
def inside(folder: Path, environ: dict[str, str]) -> Iterator[None]:
    """As if this process had been started in that folder, with these variables alone."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        with mock.patch.dict(os.environ, environ, clear=True):
            yield
    finally:
        os.chdir(before)


def type_here(
    words: Sequence[str],
    folder: Path,
    environ: dict[str, str],
    main: Callable[[Sequence[str]], int] = cli.main,
) -> subprocess.CompletedProcess[str]:
    """`./train.sh words` as if typed in that folder, but in this process, which is faster."""
    out, err = io.StringIO(), io.StringIO()
    with (
        inside(folder, environ),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = main(words)
    return subprocess.CompletedProcess(list(words), code, out.getvalue(), err.getvalue())


class Place:
    """`model`: None for a folder that has all it needs."""

    def __init__(self, folder: Path, model: Path | None, cache: Path) -> None:
        self.folder, self.cache = folder, cache
        if model:
            (folder / "good.json").write_text(json.dumps(ROWS))
            shutil.copytree(model, folder / "model")

    def tell(self, row: Row) -> tuple[int, str, str]:
        """Exit code, standard output and standard error, this folder written as FOLDER."""
        for name, content in row.files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(content, encoding="utf-8")
        seen, found = _machine(row.machine), _host(row.host)
        network = _network(row.network)
        with (
            mock.patch.object(hardware, "look", lambda: seen),
            mock.patch.object(host, "look", lambda: found),
            mock.patch.object(psutil, "net_if_addrs", lambda: network),
        ):
            done = type_here(shlex.split(row.type), self.folder, self._environ(row.env))
        out, err = (text.replace(str(self.folder), "FOLDER") for text in (done.stdout, done.stderr))
        return done.returncode, out, err

    def _environ(self, env: dict[str, str]) -> dict[str, str]:
        variables = {flag.env for flag in load_table() if flag.env} | set(NOBODYS)
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in variables and not name.endswith("_API_KEY")
        }
        said = {"VERLAUNCH_CACHE": str(self.cache), "VERLAUNCH_START": "./train.sh"}
        return {**kept, **said, **env}
