"""summary.json: what ran, how it stands, and a verdict on each number that has a healthy range."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.recorded_run import ENDS, REASON, metrics, write_run
from verlaunch.launch import folder as folders
from verlaunch.record.channel import METRICS as LINES
from verlaunch.record.channel import Channel
from verlaunch.record.report import advice
from verlaunch.record.report.history import read
from verlaunch.record.report.names import METRICS, by_name, of_run
from verlaunch.record.report.state import ENDED
from verlaunch.record.report.summary import summarize
from verlaunch.record.report.verdicts import verdict


def summary(folder: Path, **how: Any) -> dict[str, Any]:
    return summarize(read(write_run(folder, **how)))


def numbers(tree: Any) -> list[float]:
    if isinstance(tree, dict | list):
        below = tree.values() if isinstance(tree, dict) else tree
        return [number for part in below for number in numbers(part)]
    return [tree] if isinstance(tree, int | float) else []


def test_a_finished_run_says_what_ran_and_what_came_of_it(tmp_path: Path) -> None:
    said = summary(tmp_path)
    assert said["what"]["model"] == "Qwen/Qwen2.5-0.5B"
    assert said["what"]["hardware"] == "CPU, 2 cores, 23.5 GiB"
    assert said["what"]["command"].startswith("./train.sh --model")
    assert (said["state"], said["reason"]) == ("finished", None)
    assert said["steps"] == {"done": 40, "total": 40}
    assert said["reward"]["last"] > said["reward"]["start"] + 0.3
    assert said["metrics"]["reward_mean"]["verdict"] == "good"
    assert said["validation"]["start"] == 0.42
    assert said["versions"]["verl"] == "0.9.1"
    assert [warning["name"] for warning in said["warnings"]] == ["kl"]


def test_start_and_last_are_means_of_five_steps_and_best_is_one(tmp_path: Path) -> None:
    scores = [line["critic/score/mean"] for line in metrics(40) if "critic/score/mean" in line]
    said = summary(tmp_path)["reward"]
    assert said["start"] == pytest.approx(sum(scores[:5]) / 5)
    assert said["last"] == pytest.approx(sum(scores[-5:]) / 5)
    assert said["best"] == max(scores) and said["best_step"] == scores.index(max(scores)) + 1


@pytest.mark.parametrize("steps", [0, 1, 3])
@pytest.mark.parametrize("ends", ENDS)
def test_a_run_of_any_length_and_end_is_finite_json(tmp_path: Path, steps: int, ends: str) -> None:
    said = summary(tmp_path, steps=steps, ends=ends)
    assert json.loads(json.dumps(said, allow_nan=False)) == said
    assert said["steps"]["done"] == steps
    assert (said["reward"] is None) == (steps == 0)


def test_nothing_at_all_is_still_a_summary(tmp_path: Path) -> None:
    said = summarize(read(tmp_path))
    assert said["state"] == "stopped" and said["what"]["model"] is None and not said["metrics"]


def test_numbers_that_json_lacks_become_gaps(tmp_path: Path) -> None:
    write_run(tmp_path, steps=3)
    with (tmp_path / LINES).open("a") as file:
        file.write('\n{"step": 4, "time": NaN, "critic/score/mean": NaN, "actor/entropy": 1e999}\n')
    said = summarize(read(tmp_path))
    assert said["steps"]["done"] == 4
    assert all(map(math.isfinite, numbers(said)))


def test_how_a_run_ended_is_told_from_its_events(tmp_path: Path) -> None:
    assert summary(tmp_path / "a", ends="stopped")["state"] == "stopped"
    failed = summary(tmp_path / "b", ends="failed")
    assert (failed["state"], failed["reason"]) == ("failed", REASON)
    killed = summary(tmp_path / "c", ends="killed")
    assert killed["state"] == "failed" and "'update'" in killed["reason"]


def test_a_run_whose_folder_is_held_goes_on(tmp_path: Path) -> None:
    write_run(tmp_path, ends="killed")
    with folders.locked(tmp_path):
        said = summarize(read(tmp_path))
    assert said["state"] == "running" and said["time"]["ended"] is None
    assert summarize(read(tmp_path))["state"] == "failed"


@pytest.mark.parametrize(
    ("code", "state"), [(1, "failed"), (130, "stopped"), (143, "stopped"), (129, "stopped")]
)
def test_the_launchers_last_word_counts(tmp_path: Path, code: int, state: str) -> None:
    write_run(tmp_path, ends="killed")
    Channel(tmp_path).event(ENDED, code=code, reason="ValueError: no")
    said = summarize(read(tmp_path))
    assert said["state"] == state
    assert ("ValueError" in said["reason"]) == (state == "failed")


def test_time_between_attempts_is_not_time_spent(tmp_path: Path) -> None:
    write_run(tmp_path)
    events = tmp_path / "logs" / "events.jsonl"
    lines = [json.loads(line) for line in events.read_text().splitlines()]
    half = [line.get("phase") for line in lines].index("starting ray", 1)
    before = summarize(read(tmp_path))["time"]["elapsed_s"]
    later = [{**line, "time": line["time"] + 86_400} for line in lines[half:]]
    events.write_text("".join(json.dumps(line) + "\n" for line in [*lines[:half], *later]))
    assert summarize(read(tmp_path))["time"]["elapsed_s"] == pytest.approx(before)


def test_phases_are_shares_of_the_whole(tmp_path: Path) -> None:
    phases = summary(tmp_path)["time"]["phases"]
    assert sum(phases.values()) == pytest.approx(1, abs=0.01)
    assert next(iter(phases)) == "rollout"


def test_a_judges_bill_goes_on_over_resumes(tmp_path: Path) -> None:
    write_run(tmp_path, steps=4, judge=True)
    lines = [json.loads(line) for line in (tmp_path / LINES).read_text().splitlines()[:-1]]
    again = [{**line, "step": line["step"] + 4} for line in lines if line["step"]]
    text = "".join(json.dumps(line) + "\n" for line in [*lines, *again])
    (tmp_path / LINES).write_text(text)
    judged = summarize(read(tmp_path))["judge"]
    assert judged["calls"] == 2 * int(0.9 * 50 * 4)
    assert judged["usd"] is None  # nobody knows which judge it was


def test_a_judge_with_a_listed_price_has_a_bill_in_dollars(tmp_path: Path) -> None:
    write_run(tmp_path, steps=4, judge=True)
    judge = {"provider": "dashscope", "model": "qwen-plus", "base_url": None}
    parts = [{"name": "judge_score", "kind": "judge", "source": judge}]
    (tmp_path / "logs" / "launch.json").write_text(json.dumps({"reward": {"parts": parts}}))
    assert summarize(read(tmp_path))["judge"]["usd"] > 0
    judge["base_url"] = "http://127.0.0.1:8000/v1"  # one's own
    (tmp_path / "logs" / "launch.json").write_text(json.dumps({"reward": {"parts": parts}}))
    assert summarize(read(tmp_path))["judge"]["usd"] is None


RISING = [0.1 * i for i in range(20)]


@pytest.mark.parametrize(
    ("name", "values", "word"),
    [
        ("reward_mean", RISING, "good"),
        ("reward_mean", RISING[::-1], "bad"),
        ("reward_mean", [0.5, 0.6] * 10, "look"),
        ("reward_mean", [0.5] * 20, "look"),
        ("reward_mean", RISING[:5], None),  # too early
        ("validation_score", [0.53, 0.81], "good"),
        ("validation_score", [0.53, 0.531], "look"),
        ("validation_score", [0.0, 0.0], "look"),
        ("validation_score", [0.53, 0.2], "bad"),
        ("validation_score", [0.53], None),
        ("kl_divergence", [0.0], None),
        ("kl_divergence", [0.0] * 10, "look"),
        ("kl_divergence", [0.03] * 10, "good"),
        ("kl_divergence", [0.25] * 10, "look"),
        ("kl_divergence", [5.0] * 10, "bad"),
        ("clip_fraction", [0.2] * 10, "good"),
        ("clip_fraction", [0.0] * 10, "look"),
        ("entropy", [2.0] * 10 + [1.0] * 10, "good"),
        ("entropy", [2.0] * 10 + [0.1] * 10, "bad"),
        ("explained_variance", [-0.2] * 10, "look"),
        ("explained_variance", [0.4] * 10, "good"),
        ("truncated", [0.9] * 10, "bad"),
        ("truncated", [0.2] * 10, "look"),
        ("truncated", [0.0] * 10, "good"),
        ("throughput", [100.0] * 10, None),
    ],
)
def test_verdicts(name: str, values: list[float], word: str | None) -> None:
    found = verdict(by_name[name], values)
    assert (found and found.word) == word
    assert found is None or found.sentence.endswith(".")


def test_the_kl_of_an_update_is_not_judged_as_one_to_a_reference_model(tmp_path: Path) -> None:
    history = read(write_run(tmp_path, steps=12))
    assert summarize(history)["metrics"]["kl_divergence"]["verdict"] == "good"
    history.config["algorithm"]["use_kl_in_reward"] = False
    found = summarize(history)["metrics"]["kl_divergence"]
    assert found["last"] and found["verdict"] is found["healthy"] is None


def test_a_kl_that_is_steered_has_no_upper_end(tmp_path: Path) -> None:
    config = read(write_run(tmp_path, steps=12)).config
    config["algorithm"]["kl_ctrl"]["target_kl"] = 6.0
    steered = of_run(config)["kl_divergence"]
    assert steered.healthy == (0.001, None)
    assert verdict(steered, [0.4] * 10).word == "good"  # type: ignore[union-attr]
    assert verdict(by_name["kl_divergence"], [0.4] * 10).word == "look"  # type: ignore[union-attr]


def test_the_range_of_the_kl_is_wider_for_short_responses(tmp_path: Path) -> None:
    config = read(write_run(tmp_path, steps=12)).config
    highs = {2.5: 0.4, 9.0: 0.11, 200.0: 0.1, 0.5: 1.0}
    for tokens, high in highs.items():
        assert of_run(config, [tokens] * 3)["kl_divergence"].healthy == (0.001, high)


@pytest.mark.parametrize(("schedule", "word"), [("constant", "look"), ("cosine", "good")])
def test_no_clipping_is_no_news_once_the_learning_rate_has_fallen(schedule: str, word: str) -> None:
    optim = {"lr_scheduler_type": schedule}
    config = {"algorithm": {}, "actor_rollout_ref": {"actor": {"optim": optim}}}
    assert verdict(of_run(config)["clip_fraction"], [0.0] * 10).word == word  # type: ignore[union-attr]


def test_one_wild_step_at_the_end_is_no_verdict() -> None:
    assert verdict(by_name["reward_mean"], [0.5, 0.52] * 20 + [0.9]).word == "look"  # type: ignore[union-attr]


@given(st.lists(st.floats(-1e6, 1e6), max_size=60))
def test_every_series_has_a_verdict_or_none(values: list[float]) -> None:
    for metric in METRICS:
        found = verdict(metric, values)
        assert found is None or found.word in ("good", "look", "bad")


def test_flags_in_advice_exist() -> None:
    from verlaunch.config.flags import load_table

    flags = {f"--{flag.name}" for flag in load_table()}
    words = " ".join(advice.ADVICE.values()).replace(",", " ").replace(":", " ").split()
    assert {word for word in words if word.startswith("--")} <= flags
