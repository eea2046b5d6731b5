"""Real runs: `python -m verlaunch` in a process of its own, as a user starts it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

ADDITION = [
    {"prompt": f"{a}+{b}=", "ground_truth": str(a + b), "data_source": "math_reasoning"}
    for a in range(10)
    for b in range(10)
]


@pytest.fixture(scope="session")
def addition(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 short problems: every step of a run on them is cheap."""
    file = tmp_path_factory.mktemp("addition") / "addition.json"
    file.write_text(json.dumps(ADDITION))
    return file


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The interpreter by a path with a space, as in a checkout in "my folder"."""
    venv = tmp_path_factory.mktemp("my folder") / "venv"
    venv.symlink_to(sys.prefix)
    return str(venv / "bin" / "python")


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@dataclass
class Ran:
    code: int
    screen: str
    folder: Path

    @property
    def metrics(self) -> list[dict[str, Any]]:
        lines = (self.folder / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def steps(self) -> list[int]:
        return [line["step"] for line in self.metrics]

    def series(self, key: str) -> list[float]:
        return [line[key] for line in self.metrics if key in line]


def of_run(folder: Path) -> list[str]:
    """Command lines of processes that still belong to the run in `folder`.

    The resource tracker of Python's multiprocessing sees only then that its launcher has ended.
    """
    for _ in range(25):
        found = _of_run(folder)
        if not found or any("multiprocessing.resource_tracker" not in words for words in found):
            break
        time.sleep(0.2)
    return found


def _of_run(folder: Path) -> list[str]:
    found = []
    for process in psutil.process_iter(["cmdline", "environ", "status"]):
        info = process.info
        words = " ".join(info["cmdline"] or [])
        inside = str(folder) in words or (info["environ"] or {}).get("VERLAUNCH_E2E") == str(folder)
        if inside and process.pid != os.getpid() and info["status"] != psutil.STATUS_ZOMBIE:
            found.append(words)
    return found


def wait_until_gone(folder: Path) -> None:
    for _ in range(300):
        if not of_run(folder):
            return
        time.sleep(0.2)
    raise AssertionError(of_run(folder))


class Started:
    """A run that goes on while the test watches it."""

    def __init__(self, python: str, folder: Path, cache: Path, words: tuple[str, ...]) -> None:
        self.folder = folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        self.out = (folder.parent / f"{folder.name}.screen").open("w+")
        self.process = subprocess.Popen(
            [python, "-m", "verlaunch", "--output_dir", str(folder), *words],
            env={**os.environ, "VERLAUNCH_CACHE": str(cache), "VERLAUNCH_E2E": str(folder)},
            stdout=self.out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=folder.parent,
        )

    def screen(self) -> str:
        self.out.flush()
        return Path(self.out.name).read_text()

    def wait_for(self, text: str, timeout_s: float = 300) -> None:
        deadline = time.monotonic() + timeout_s
        while text not in self.screen():
            assert self.process.poll() is None, f"ended before {text!r}:\n{self.screen()}"
            assert time.monotonic() < deadline, f"no {text!r} in {timeout_s} s:\n{self.screen()}"
            time.sleep(0.2)

    def end(self, timeout_s: float = 900) -> Ran:
        code = self.process.wait(timeout_s)
        return Ran(code, self.screen(), self.folder)


@pytest.fixture
def start(python: str, cache: Path) -> Iterator[Callable[..., Started]]:
    running: list[Started] = []

    def begin(folder: Path, *words: str) -> Started:
        running.append(Started(python, folder, cache, words))
        return running[-1]

    yield begin
    for run in running:
        if run.process.poll() is None:
            run.process.send_signal(signal.SIGTERM)
            run.process.send_signal(signal.SIGTERM)
            run.process.wait(60)


@pytest.fixture
def run(start: Callable[..., Started]) -> Callable[..., Ran]:
    return lambda folder, *words: start(folder, *words).end()
