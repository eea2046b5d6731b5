"""Every way to score, in 20 steps of the demo: the reward rises, and each part is in the record."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
import yaml

from tests.e2e.conftest import Ran, of_run
from tests.judge_servers import KEY
from tests.reward_models import make

pytestmark = pytest.mark.e2e
STEPS = 20


@dataclass
class Judge:
    """A judge in a process of its own."""

    url: str
    counters_file: Path
    process: subprocess.Popen

    def counters(self) -> dict[str, Any]:
        """Of the whole run; ends it."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        return json.loads(self.counters_file.read_text())


@pytest.fixture
def judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Judge]]:
    """Starts a judge; options are those of tests/judge_servers.py."""
    started: list[Judge] = []
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    def start(*options: str) -> Judge:
        server = Path(__file__).parents[1] / "judge_servers.py"
        port, counters = tmp_path / "port", tmp_path / "counters.json"
        words = ["--provider", "openai", "--judge", "tests.e2e.grading:sums", *options]
        files = ["--port-file", str(port), "--counters", str(counters)]
        process = subprocess.Popen([sys.executable, str(server), *words, *files])
        deadline = time.monotonic() + 60
        while not port.exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        started.append(Judge(f"http://127.0.0.1:{port.read_text()}/v1", counters, process))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def asks(judge: Judge) -> tuple[str, ...]:
    words = ("--use_api_reward", "--rm_api_type", "openai", "--rm_model", "gpt-6-luna")
    return (*words, "--rm_base_url", judge.url)


def rises(ran: Ran, key: str = "critic/score/mean") -> float:
    """How much higher the last five steps are than the first five."""
    values = ran.series(key)
    assert len(values) == STEPS, ran.screen
    return mean(values[-5:]) - mean(values[:5])


def samples(ran: Ran) -> list[dict[str, Any]]:
    lines = (ran.folder / "samples" / "train.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_a_judge_that_fails_and_is_away_for_ten_seconds_costs_the_run_nothing(
    run: Callable[..., Ran], judge: Callable[..., Judge], tmp_path: Path
) -> None:
    away = ("--down-from-request", "700", "--down-for-s", "10")
    server = judge("--fail-share", "0.1", *away)
    words = (*asks(server), "--rm_cache", "off", "--rm_concurrency", "16")
    ran = run(tmp_path / "judged", *words, "--steps", str(STEPS))
    assert ran.code == 0, ran.screen
    assert rises(ran) > 0.05
    assert ran.series("reward/judge_failed/mean") == [0.0] * STEPS
    assert ran.series("reward/judge_score/mean") == pytest.approx(ran.series("critic/score/mean"))
    assert {sample["judge_raw"] for sample in samples(ran)} == {1.0, 10.0}

    seen = server.counters()
    calls = ran.series("judge/calls")[-1]
    assert seen["failed"] > 0.07 * seen["requests"] and seen["down_s"] >= 10
    assert seen["answered"] >= calls and seen["max_in_flight"] <= 16
    assert ran.series("judge/retries")[-1] >= seen["failed"]
    logs = "".join(path.read_text() for path in (ran.folder / "logs").glob("*") if path.is_file())
    assert KEY not in logs + ran.screen
    assert of_run(ran.folder) == []


def test_a_mix_is_learnt_from_then_resumed_and_stopped_by_its_budget(
    run: Callable[..., Ran], judge: Callable[..., Judge], tmp_path: Path
) -> None:
    model = make(tmp_path / "model", "DebertaV2ForSequenceClassification")
    mix = tmp_path / "mix.yaml"
    weights = {"rule_score": 0.5, "judge_score": 0.4, "rm_score": 0.1}
    mix.write_text(yaml.safe_dump({"composite_reward": {"enable": True, "weights": weights}}))
    server = judge()
    words = ("--reward_model", str(model), *asks(server), "--reward_config", str(mix))
    folder = tmp_path / "mixed"
    ran = run(folder, *words, "--steps", str(STEPS))
    assert ran.code == 0, ran.screen
    assert rises(ran) > 0.05
    for line in ran.metrics[1:]:
        parts = {part: line[f"reward/{part}/mean"] for part in weights}
        assert line["critic/score/mean"] == pytest.approx(
            sum(weight * parts[part] for part, weight in weights.items()), abs=1e-5
        )
        for stem in ("rule", "judge", "rm"):
            assert line[f"reward/{stem}_failed/mean"] == 0.0
            assert line[f"reward/{stem}_weight/mean"] == pytest.approx(weights[f"{stem}_score"])
    # The judge's answers are kept: later steps repeat sums that were graded before.
    assert ran.series("judge/cache_hits")[-1] > 0

    spent = ("--rm_budget", "150requests", "--rm_cache", "off", "--steps", str(STEPS + 10))
    stopped = run(folder, *words, *spent)
    assert stopped.code == 1, stopped.screen
    assert "Stopped while " in stopped.screen and ": judge_score: " in stopped.screen
    assert "150" in stopped.screen
    assert "Traceback" not in stopped.screen
    last = json.loads((folder / "checkpoints" / "latest_checkpointed_iteration.txt").read_text())
    assert (
        last == stopped.steps()[-1] == STEPS + 1
    )  # the batch that could not be graded is not in it
    before, after = (
        json.loads((folder / "checkpoints" / f"global_step_{step}" / "reward.json").read_text())
        for step in (STEPS, STEPS + 1)
    )
    assert before["rm_score"]["scale"] == after["rm_score"]["scale"]
    assert server.counters()["answered"] > 0
    assert os.environ["OPENAI_API_KEY"] not in stopped.screen and of_run(folder) == []


RECORDS = """
import json, os, sys

def compute_score(data_source, solution_str, ground_truth, extra_info=None, **more):
    by = "run" if "ray" in sys.argv[0] else "plan"
    given = sorted({"extra": extra_info, "label": data_source, **more}.items())
    with open(os.environ["RECORDED"], "a") as file:
        file.write(json.dumps([by, ground_truth, repr(given)]) + "\\n")
    return 0.5
"""
ROWS = [
    {"prompt": f"{n}+{n}=", "ground_truth": str(2 * n), "data_source": "mine", "numbers": [n, 2],
     "tags": ["a", None], "deep": {"x": [{"y": n}], "z": None}, "level": n / 2, "flag": n > 3,
     "maybe": None if n % 2 else n, "extra_info": {"index": 70 + n} if n > 4 else {}}
    for n in range(8)
]  # fmt: skip


def test_a_reward_is_given_in_the_plan_what_it_is_given_in_the_run(
    run: Callable[..., Ran], tiny_qwen2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(RECORDS)
    for name, rows in (("my.json", ROWS), ("val.json", [{**ROWS[0], "prompt": "1+9="}])):
        (tmp_path / name).write_text(json.dumps(rows))
    monkeypatch.setenv("RECORDED", str(tmp_path / "recorded.jsonl"))
    ran = run(
        tmp_path / "out", "--model", str(tiny_qwen2), "--data", "my.json", "--val_data", "val.json",
        "--reward_fn", "mine.py:compute_score", "--batch_size", "8", "--steps", "1",
        "--max_prompt_length", "16", "--max_response_length", "8",
    )  # fmt: skip
    assert ran.code == 0, ran.screen
    given: dict[str, dict[str, set[str]]] = {"plan": {}, "run": {}}
    for line in (tmp_path / "recorded.jsonl").read_text().splitlines():
        by, truth, what = json.loads(line)
        if "'split': 'val'" not in what:
            given[by].setdefault(truth, set()).add(what)
    assert len(given["run"]) == len(ROWS) and given["plan"]
    assert given["plan"].items() <= given["run"].items()
