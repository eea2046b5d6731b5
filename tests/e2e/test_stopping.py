"""How a run ends when something comes between: a faulty reward, Ctrl-C, SIGKILL, SIGTERM."""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
import yaml
from torchdata.stateful_dataloader.sampler import RandomSampler

from tests.e2e.conftest import Started, of_run, wait_until_gone
from verlaunch.record.channel import Tail

pytestmark = pytest.mark.e2e

SHORT = ("--max_prompt_length", "16", "--max_response_length", "8", "--batch_size", "32")

# Right for the reference answers of the rows that are tried first; faulty now and then in training.
FAULTY = """
import time

def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    if solution_str == ground_truth or not solution_str or solution_str.startswith("lorem"):
        return {"score": float(solution_str == ground_truth), "length": 0.0}
    kind = hash(solution_str) % 40
    if kind == 0:
        raise KeyError("a fault of the user's")
    if kind == 1:
        return None
    if kind == 2:
        return float("nan")
    return {"score": sum(c.isdigit() for c in solution_str) / 8, "length": float(len(solution_str))}
"""


def test_a_faulty_reward_is_counted_and_ctrl_c_saves_and_leaves_nothing(
    start: Callable[..., Started], addition: Path, tiny_qwen2: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(FAULTY)
    folder = tmp_path / "stopped"
    run = start(
        folder, "--model", str(tiny_qwen2), "--data", str(addition), *SHORT, "--steps", "500",
        "--save_freq", "400", "--test_freq", "400", "--reward_fn", "mine.py:compute_score",
    )  # fmt: skip
    run.wait_for("step 4/500")
    run.process.send_signal(signal.SIGINT)
    ended = run.end(timeout_s=90)
    assert ended.code == 130, ended.screen
    assert "Stopping after this step" in ended.screen
    last = ended.steps()[-1]
    assert last < 100
    assert (folder / "checkpoints" / f"global_step_{last}" / "complete.json").is_file()
    assert (folder / "checkpoints" / "final" / "model.safetensors").is_file()
    failed = ended.series("reward/reward_failed/mean")
    assert 0 < sum(failed) / len(failed) < 0.2
    assert len(ended.series("reward/length/mean")) == len(failed) == last
    assert "a fault of the user's" in ended.screen
    assert of_run(folder) == []


def wait_for_phase(run: Started, phase: str, step: int) -> None:
    """Until the run has come to this phase of this step, or a later one."""
    events = Tail(run.folder / "logs" / "events.jsonl", from_end=True)
    for _ in range(30_000):
        for event in events.new():
            if event.get("phase") == phase and event["step"] >= step:
                return
        assert run.process.poll() is None, run.screen()
        time.sleep(0.01)
    raise AssertionError(f"no {phase} of step {step}:\n{run.screen()}")


def rows_in_order(folder: Path, steps: int) -> list[dict[str, object]]:
    """What an undisturbed run is trained on: verl's sampler over the run's own data, step by step.

    Source: verl/trainer/ppo/utils.py:140, and trainer_base.py:743 (the last part batch is dropped).
    """
    data = yaml.safe_load((folder / "config.yaml").read_text())["data"]
    index = pq.read_table(data["train_files"])["extra_info"].combine_chunks().field("index")
    generator, size = torch.Generator().manual_seed(data["seed"]), data["train_batch_size"]
    sampler = RandomSampler(index, generator=generator)
    found: list[dict[str, object]] = []
    while len(found) < steps:
        order = [index[i].as_py() for i in sampler]
        for start in range(0, len(order) - size + 1, size):
            rows = sorted(order[start : start + size])
            found.append({"step": len(found) + 1, "rows": rows})
    return found[:steps]


def test_a_killed_and_then_preempted_run_goes_on_without_losing_a_row(
    start: Callable[..., Started], addition: Path, tiny_qwen2: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "preempted"
    words = ("--model", str(tiny_qwen2), "--data", str(addition), *SHORT, "--steps", "12",
             "--save_freq", "2", "--test_freq", "6")  # fmt: skip
    killed = start(folder, *words)
    wait_for_phase(killed, "update", 4)
    killed.process.kill()
    wait_until_gone(folder)

    preempted = start(folder, *words)
    wait_for_phase(preempted, "rollout", 7)
    preempted.process.send_signal(signal.SIGTERM)
    ended = preempted.end(timeout_s=90)
    assert ended.code == 143, ended.screen
    assert "continuing from step" in ended.screen and "SIGTERM: saving" in ended.screen
    last = ended.steps()[-1]
    assert f"Step {last} is saved; the same command continues" in ended.screen
    assert not (folder / "checkpoints" / "final").exists()
    assert of_run(folder) == []

    ended = start(folder, *words).end()
    assert ended.code == 0, ended.screen
    assert ended.steps() == list(range(13))  # 0: the validation before training
    rows = [json.loads(line) for line in (folder / "samples" / "rows.jsonl").open()]
    assert rows == rows_in_order(folder, 12)
    assert (folder / "checkpoints" / "final" / "model.safetensors").is_file()
    assert of_run(folder) == []
