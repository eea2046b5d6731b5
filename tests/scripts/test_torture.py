"""The torture script's judgement: it must see every way in which a killed run could have lost."""

import fcntl
import importlib.util
import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from verlaunch.machine import leftovers
from verlaunch.record.checkpoints.manifest import write_manifest

SCRIPT = Path(__file__).parents[2] / "scripts" / "torture.py"
STEPS = 4


def load() -> object:
    spec = importlib.util.spec_from_file_location("torture", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["torture"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


torture = load()


def write(file: Path, lines: list[dict]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def record(folder: Path, rows: list[dict], metrics: list[dict]) -> Path:
    """What a run of STEPS steps leaves, as far as it is compared."""
    write(folder / "samples" / "rows.jsonl", rows)
    write(folder / "metrics.jsonl", metrics)
    step = folder / "checkpoints" / f"global_step_{STEPS}"
    for file in (
        step / "actor" / "weights",
        folder / "checkpoints" / "final" / "model.safetensors",
    ):
        file.parent.mkdir(parents=True)
        file.write_text("w")
    write_manifest(step, STEPS, 1)
    (folder / "logs").mkdir()
    (folder / "logs" / "lock").touch()
    return folder


ROWS = [{"step": step, "rows": [step, step + 10]} for step in range(1, STEPS + 1)]
METRICS = [{"step": step, "actor/kl_coef": 0.1} for step in range(STEPS + 1)]


@pytest.fixture
def expected(tmp_path: Path) -> Path:
    return record(tmp_path / "undisturbed", ROWS, METRICS)


def test_a_run_that_lost_nothing_shows_no_difference(expected: Path, tmp_path: Path) -> None:
    found = record(tmp_path / "killed", ROWS, METRICS)
    assert list(torture.differences(expected, found, STEPS)) == []
    assert list(torture.remains(found)) == []


def another(step: int) -> list[dict]:
    return [{**row, "rows": [99]} if row["step"] == step else row for row in ROWS]


@pytest.mark.parametrize(
    ("rows", "metrics", "why"),
    [
        (another(3), METRICS, "other rows in steps [3]"),
        (ROWS[:2] + ROWS[3:], METRICS, "other rows in steps [3]"),
        (ROWS[:2] + ROWS[1:], METRICS, "rows.jsonl: steps [1, 2, 2, 3, 4]"),
        (ROWS, METRICS[:2] + METRICS[3:], "metrics.jsonl: steps [0, 1, 3, 4]"),
        (ROWS, METRICS[:3] + METRICS[2:], "metrics.jsonl: steps [0, 1, 2, 2, 3, 4]"),
        (ROWS, [*METRICS[:-1], {"step": 4, "actor/kl_coef": None}], "not a number in every step"),
    ],
)
def test_every_loss_is_seen(
    expected: Path, tmp_path: Path, rows: list[dict], metrics: list[dict], why: str
) -> None:
    found = record(tmp_path / "killed", rows, metrics)
    assert why in " ".join(torture.differences(expected, found, STEPS))


@pytest.mark.parametrize("gone", ["final/model.safetensors", f"global_step_{STEPS}/complete.json"])
def test_a_missing_end_is_seen(expected: Path, tmp_path: Path, gone: str) -> None:
    found = record(tmp_path / "killed", ROWS, METRICS)
    (found / "checkpoints" / gone).unlink()
    assert len(list(torture.differences(expected, found, STEPS))) == 1


def start_marked(folder: Path) -> Callable[[], None]:
    sleep = [sys.executable, "-c", "import time; print(1, flush=True); time.sleep(600)"]
    environment = leftovers.mark(folder)
    process = subprocess.Popen(sleep, env=environment, stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline()
    return lambda: (process.kill(), process.wait())[0]


def hold_lock(folder: Path) -> Callable[[], None]:
    lock = (folder / "logs" / "lock").open()
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock.close


def note_temp(folder: Path) -> Callable[[], None]:
    leftovers.note(folder, "/tmp/verlaunch-00000000")
    return lambda: None


@pytest.mark.parametrize(
    ("leave", "what"),
    [(start_marked, "processes"), (hold_lock, "a lock"), (note_temp, "temporary folders")],
)
def test_what_is_left_behind_is_seen(
    tmp_path: Path, leave: Callable[[Path], Callable[[], None]], what: str
) -> None:
    found = record(tmp_path / "killed", ROWS, METRICS)
    end = leave(found)
    try:
        assert what in " ".join(torture.remains(found))
    finally:
        end()


def test_twenty_kills_hit_every_phase_and_every_kind_of_process() -> None:
    planned = torture.plan(20, random.Random(1))
    assert {phase for phase, _ in planned} == set(torture.PHASES)
    assert {what for _, what in planned} == {*torture.KINDS, torture.LAUNCHER, torture.BOTH}
    assert planned == torture.plan(20, random.Random(1))
