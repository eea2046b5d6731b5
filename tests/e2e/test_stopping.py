"""How a run ends when something goes wrong: a faulty reward, Ctrl-C, a killed launcher."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Started, of_run

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


def test_nothing_outlives_a_killed_launcher(
    start: Callable[..., Started], addition: Path, tiny_qwen2: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "killed"
    run = start(folder, "--model", str(tiny_qwen2), "--data", str(addition), *SHORT)
    run.wait_for("loading models")
    assert any("raylet" in words for words in of_run(folder))
    run.process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while of_run(folder) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert of_run(folder) == []
    assert not (folder / "checkpoints").exists()
