"""All of a run's reports: whole files or none, and clear words where there is no run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.recorded_run import write_run
from verlaunch.machine.disk import replacing
from verlaunch.record.report import write
from verlaunch.record.report.write import CSV

MADE = (write.SUMMARY, CSV, write.PICTURE, write.PAGE)


def report(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "verlaunch", "report", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_by_hand_all_four_are_made_and_named(tmp_path: Path) -> None:
    done = report(str(write_run(tmp_path, steps=5)))
    assert done.returncode == 0 and not done.stderr
    assert done.stdout.splitlines() == [str(tmp_path / name) for name in MADE]
    assert json.loads((tmp_path / write.SUMMARY).read_text())["state"] == "finished"
    assert not list(tmp_path.rglob(".*"))


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ("file.txt", "is not a folder"),
        ("empty/", "holds no run"),
        ("runs/mine/metrics.jsonl", "Did you mean"),
        ("begun/run.json", "a run without a step yet"),
    ],
)
def test_a_folder_without_a_run_is_one_clear_sentence(tmp_path: Path, made: str, said: str) -> None:
    path = tmp_path / made
    (path if made.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
    if not made.endswith("/"):
        path.touch()
    done = report(str(tmp_path / made.split("/")[0]))
    assert done.returncode == 2 and said in done.stderr
    assert len(done.stderr.splitlines()) == 1 and not done.stdout


def test_what_cannot_be_made_is_told_and_keeps_nothing_else_from_being_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> None:
        raise RuntimeError("no ink")

    monkeypatch.setattr(write, "write_picture", breaks)
    wrong = write.write(write_run(tmp_path, steps=2))
    assert wrong == [f"{tmp_path / write.PICTURE} could not be written: RuntimeError: no ink"]
    assert [(tmp_path / name).exists() for name in MADE] == [True, True, False, True]


def test_a_write_that_breaks_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text("whole")
    with pytest.raises(RuntimeError), replacing(file) as partial:
        partial.write_text("hal")
        raise RuntimeError
    assert file.read_text() == "whole" and os.listdir(tmp_path) == ["report.html"]


def test_beside_a_launcher_all_four_are_written(tmp_path: Path) -> None:
    write_run(tmp_path, steps=2)
    command = [sys.executable, "-m", "verlaunch.record.report.write", str(tmp_path)]
    subprocess.run(command, check=True)
    assert all((tmp_path / name).exists() for name in MADE)


def test_a_run_before_its_first_step_has_a_summary_and_a_page(tmp_path: Path) -> None:
    assert write.write(write_run(tmp_path, steps=0)) == []
    assert [(tmp_path / name).exists() for name in MADE] == [True, True, False, True]
