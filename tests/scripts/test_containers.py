"""The images build and start without docker: their own steps, in a folder that stands for `/`.

A step's files come from a skeleton of the checkout with tiny packages (test_bootstrap.py), and what
needs root (apt-get, useradd) is a program that only writes down how it was called.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scripts.test_bootstrap import ROOT, make_skeleton
from verlaunch.tools.doctor.flags import parse

pytestmark = pytest.mark.slow

FILES = {"cpu": ROOT / "containers/cpu.Dockerfile", "gpu": ROOT / "containers/gpu.Dockerfile"}
ROOTS = ("apt-get", "useradd", "install", "ln")
Steps = list[tuple[str, str]]


def steps(file: Path) -> Steps:
    """[("FROM", "python:3.12-slim-bookworm"), ("RUN", "apt-get ..."), ...]"""
    text = re.sub(r"^#.*\n", "", file.read_text(), flags=re.M).replace("\\\n", " ")
    pairs = [line.split(None, 1) for line in text.splitlines() if line.strip()]
    return [(word, rest.strip()) for word, rest in pairs]


def only(found: Steps, word: str) -> str:
    (rest,) = [rest for name, rest in found if name == word]
    return rest


class Image:
    """What the steps have made below `root`."""

    def __init__(self, root: Path, context: Path) -> None:
        self.root, self.context = root, context
        self.folder, self.user = root, "root"
        self.calls = root / "calls"
        stubs = root / "stubs"
        stubs.mkdir(parents=True)
        for name in ROOTS:
            (stubs / name).write_text(f'#!/bin/sh\necho {name} "$@" >>"{self.calls}"\n')
            (stubs / name).chmod(0o755)
        wheels = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": (context / "wheels").as_uri()}
        self.env = {"PATH": f"{stubs}:{os.environ['PATH']}", "PYTHON": sys.executable, **wheels}

    def take(self, word: str, rest: str) -> None:
        if word == "ENV":
            self.env |= dict(pair.split("=", 1) for pair in rest.split())
        elif word == "WORKDIR":
            self.folder = self.root / rest.lstrip("/")
            self.folder.mkdir(parents=True, exist_ok=True)
        elif word == "COPY":
            assert rest == ". ."
            shutil.copytree(self.context, self.folder, dirs_exist_ok=True)
        elif word == "USER":
            self.user = rest
        elif word == "RUN" and "/var/lib/apt" in rest:
            assert "--no-install-recommends" in rest
        elif word == "RUN":
            self.run(["bash", "-euc", rest])

    def run(self, command: list[str]) -> str:
        done = subprocess.run(
            command, cwd=self.folder, env=self.env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, words: str, *more: str) -> str:
        program, *rest = json.loads(words)
        return self.run([f"{self.root}{program}", *rest, *more])


@pytest.mark.parametrize("name", FILES)
def test_the_steps_of_an_image_make_one_that_starts(name: str, tmp_path: Path) -> None:
    found, image = steps(FILES[name]), Image(tmp_path / "image", make_skeleton(tmp_path / "here"))
    for word, rest in found:
        image.take(word, rest)
    packages = (image.root / "opt/verlaunch/.venv/stamp").read_text()
    assert f"set {name}" in packages
    shown = image.start(only(found, "ENTRYPOINT"), "--data", "my.json")
    assert shown == f"launched in {image.root}/train ['--data', 'my.json']\n"
    assert image.user == "verlaunch" and "useradd --uid 1000" in image.calls.read_text()


@pytest.mark.parametrize("name", FILES)
def test_an_image_asks_the_doctor_for_its_health(name: str) -> None:
    words = json.loads(only(steps(FILES[name]), "HEALTHCHECK").partition("CMD ")[2])
    assert words[1] == "doctor"
    asked = parse(words[2:], {"HARDWARE": name})
    assert not asked.overrides and asked.values["only"] == ["machine", "limits", "versions"]


def test_what_is_left_out_of_an_image_is_no_part_of_the_project() -> None:
    left_out = (ROOT / ".dockerignore").read_text().split()
    kept = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout
    tops = {line.partition("/")[0] for line in kept.splitlines()}
    assert len(tops) > 10 and not tops & set(left_out)
