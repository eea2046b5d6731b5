"""The small benchmarks at toy size, through their command lines; figures are not judged."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = pytest.mark.slow

BENCH = Path(__file__).parents[2] / "scripts" / "bench"


def run(name: str, *words: str, to: Path) -> dict[str, Any]:
    """The JSON that a benchmark writes; its table is printed, with the machine above it."""
    command = [sys.executable, str(BENCH / name), *words, "--json", str(to)]
    done = subprocess.run(command, cwd=to.parent, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(to.read_text())
    assert found["machine"] in done.stdout and "cores" in found["machine"]
    assert found["date"] and found["versions"]["python"] and name in found["command"]
    return found


@pytest.fixture(scope="module")
def contest() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("contest", BENCH / "contest.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def launcher(contest: ModuleType) -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_launcher", BENCH / "launcher.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_both_ways_of_preparing_data_keep_the_same_rows(tmp_path: Path) -> None:
    found = run("data.py", "--rows", "1500", "--rounds", "1", to=tmp_path / "out.json")
    ours, theirs = found["rows"]
    assert (ours["name"], theirs["name"]) == ("ours", "datasets.map")
    assert ours["kept"] == theirs["kept"] and 1100 < ours["kept"] < 1500 - 256
    assert theirs["x datasets.map"] == 1 and ours["x datasets.map"] > 0
    assert ours["peak RSS MiB"] > ours["USS growth MiB"] > 0


def test_every_rule_is_set_beside_string_equality(tmp_path: Path) -> None:
    found = run("rules.py", "--rows", "10", "--rounds", "1", to=tmp_path / "out.json")
    rows = {row["rule"]: row for row in found["rows"]}
    assert rows["string equality"]["x equality"] == 1
    assert rows.keys() > {"math, numbers", "math, formulas", "choice", "qa", "format", "json"}
    assert all(row["rows/s"] > 0 for row in rows.values())


def test_the_judge_is_measured_against_its_limits(tmp_path: Path) -> None:
    words = ("--seconds", "0.3", "--rounds", "1", "--concurrency", "4", "--latency-s", "0.02")
    found = run("judge.py", *words, "--minute-s", "0.2", "--rpm", "20", to=tmp_path / "out.json")
    rows = {row["what"]: row for row in found["rows"]}
    assert rows["answers per s"]["limit"] == 200 and rows["answers per s"]["seen"] > 0
    for name in ("in flight, full speed", "requests per minute", "in flight, paced"):
        assert 0 < rows[name]["seen"] <= rows[name]["limit"], name


def test_a_reward_model_scores_like_one_batched_by_hand(tmp_path: Path) -> None:
    words = ("--device", "cpu", "--requests", "4", "--rounds", "2")
    found = run("reward_model.py", *words, to=tmp_path / "out.json")
    assert [row["name"] for row in found["rows"]] == ["ours", "by hand"]
    assert found["largest_difference"] < 1e-3 and len(found["seconds"]["ours"]) == 2


def test_the_launcher_answers_and_a_typo_ends_with_2(tmp_path: Path) -> None:
    names = ("empty", "version", "help", "typo")
    found = run("launcher.py", "--only", *names, "--rounds", "1", to=tmp_path / "out.json")
    assert [row["program"] for row in found["rows"]] == [*names]
    assert all(row["x empty"] > 0 and row["x torch"] is None for row in found["rows"])


def test_ragged_rows_have_less_padding_and_the_same_update(tmp_path: Path) -> None:
    words = ("--model", "tiny", "--rows", "24", "--limit", "64", "--budget", "256", "--rounds", "1")
    rows = run("cutting.py", *words, to=tmp_path / "out.json")["rows"]
    assert [(row["rows"], row["cut"]) for row in rows] == [
        (kind, name) for kind in ("equal", "uniform", "log-normal") for name in ("verl", "ours")
    ]
    assert all(row["agree"] < 1e-5 for row in rows)
    for verl, ours in zip(rows[2::2], rows[3::2], strict=True):
        assert 1 <= ours["padded"] < verl["padded"] - 0.2


def test_growth_is_told_as_multiples_of_the_first_size(tmp_path: Path) -> None:
    words = ("--only", "functions", "--functions", "2,4")
    rows = run("scaling.py", *words, to=tmp_path / "out.json")["rows"]
    assert [(row["part"], row["size"], row["x size"]) for row in rows] == [
        ("functions", 2, 1),
        ("functions", 4, 2),
    ]
    assert rows[0]["x value"] == 1 and rows[1]["x value"] > 0


def test_the_start_is_cut_where_each_phase_began(launcher: ModuleType) -> None:
    told = [
        {"time": 12.0, "event": "phase", "phase": "starting ray"},
        {"time": 13.5, "event": "phase", "phase": "ready", "step": 0},
        {"time": 14.0, "event": "metrics", "step": 0},
        {"time": 15.0, "event": "phase", "phase": "rollout", "step": 1},
        {"time": 16.0, "event": "metrics", "step": 1},
        {"time": 17.0, "event": "phase", "phase": "rollout", "step": 2},
    ]
    marks = launcher.phases(10.0, told)
    assert launcher.spans(marks) == [
        ["launcher", 2.0, 2.0],
        ["starting ray", 1.5, 3.5],
        ["ready", 1.5, 5.0],
        ["first rollout", 1.0, 6.0],
    ]


def test_a_child_is_measured_with_all_below_it(contest: ModuleType) -> None:
    hold = "held = bytearray(64 << 20); time.sleep(0.5)"
    below = f"import subprocess, sys, time; subprocess.run([sys.executable, '-c', {hold!r}])"
    below = below.replace("'-c', '", "'-c', 'import time; ")
    used = contest.child([sys.executable, "-c", below], every_s=0.02)
    assert used.code == 0 and used.processes == 2
    assert used.uss > 64 << 20 and used.rss >= used.pss >= used.uss


def test_contestants_take_turns_at_beginning(contest: ModuleType) -> None:
    order: list[str] = []
    runs = {name: lambda name=name: order.append(name) for name in "abc"}
    contest.in_turn(runs, 3)
    assert "".join(order) == "abcbcacab"


def test_a_table_stands_in_columns(contest: ModuleType) -> None:
    table = contest.Table(("name", "s"), [("ours", 0.12345), ("theirs", None), ("sum", 12345.6)])
    assert table.text().splitlines() == [
        "name         s",
        "ours     0.123",
        "theirs       -",
        "sum     12,346",
    ]
