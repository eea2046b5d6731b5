"""scripts/gpu_check.sh where there is no GPU: its parts run, and it ends what it has started."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import of_run, wait_until_gone

pytestmark = pytest.mark.e2e
CHECK = Path(__file__).parents[2] / "scripts" / "gpu_check"


def begin(folder: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(CHECK), "--hardware", "cpu", "--output_dir", str(folder), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_the_demo_learns_is_killed_goes_on_and_every_row_is_in_the_json(tmp_path: Path) -> None:
    folder, told = tmp_path / "check", tmp_path / "check.json"
    check = begin(folder, "--only", "environment,demo,resume", "--json", str(told))
    said, _ = check.communicate()
    assert check.returncode == 0, said
    found = json.loads(told.read_text())
    assert [(row["part"], row["state"]) for row in found["rows"]] == [
        ("environment", "passed"), ("demo", "passed"), ("resume", "passed"),
    ]  # fmt: skip
    learnt = found["rows"][1]["figures"]
    assert learnt["after"] > learnt["before"]
    assert "3 passed" in said
    assert of_run(folder) == []


def test_a_check_that_is_told_to_stop_leaves_no_process_behind(tmp_path: Path) -> None:
    folder = tmp_path / "stopped"
    check = begin(folder, "--only", "demo")
    events = folder / "runs" / "demo" / "logs" / "events.jsonl"
    for _ in range(600):
        if events.exists() and "starting ray" in events.read_text():
            break
        assert check.poll() is None
        time.sleep(0.1)
    check.send_signal(signal.SIGTERM)
    said, _ = check.communicate(timeout=60)
    assert check.returncode == 128 + signal.SIGTERM and "Stopped." in said, said
    wait_until_gone(folder)
