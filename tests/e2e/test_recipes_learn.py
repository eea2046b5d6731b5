"""Recipes by name alone, on the CPU: each learns, and leaves its algorithm's trace in the record.

train_sh's variant is the demo (test_demo_learns.py).
"""

from collections.abc import Callable
from pathlib import Path
from statistics import mean

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForTokenClassification, AutoTokenizer

from tests.e2e.conftest import Ran, of_run
from tests.reward_models import make
from verlaunch.weights.shards import Shards

pytestmark = pytest.mark.e2e
VALIDATION = "val-core/math_reasoning/reward/mean@1"


def ended_well(ran: Ran, variant: str, steps: int) -> None:
    assert ran.code == 0, ran.screen
    assert f"this is {variant}" in " ".join(ran.screen.split())
    assert len(ran.series("critic/score/mean")) == steps, ran.screen
    assert of_run(ran.folder) == []


def rises(ran: Ran, key: str = "critic/score/mean") -> float:
    """How much higher the last five steps are than the first five."""
    values = ran.series(key)
    return mean(values[-5:]) - mean(values[:5])


def test_ppo_qwen_learns_and_stops_its_passes_by_the_kl(
    run: Callable[..., Ran], tmp_path: Path
) -> None:
    ran = run(tmp_path / "qwen", "--recipe", "ppo_qwen", "--steps", "10", "--test_freq", "10")
    ended_well(ran, "cpu_ppo_qwen", 10)
    before, after = ran.series(VALIDATION)
    assert after > before + 0.15
    stopped = [line for line in ran.metrics if "actor/stop_epoch" in line]
    assert stopped
    for line in stopped:
        assert line["actor/approx_kl"] > 0.01
        assert line["actor/updates"] < 8 and 1 <= line["actor/stop_epoch"] <= 4
    assert all(
        line["actor/updates"] == 8 and line["actor/approx_kl"] <= 0.01
        for line in ran.metrics[1:]
        if line not in stopped
    )


def test_rlhf_align_learns_while_its_kl_weight_follows_the_target(
    run: Callable[..., Ran], tmp_path: Path
) -> None:
    ran = run(tmp_path / "align", "--recipe", "rlhf_align", "--steps", "8", "--test_freq", "8")
    ended_well(ran, "cpu_rlhf_align", 8)
    before, after = ran.series(VALIDATION)
    assert after > before + 0.15
    # Far below the target of 6 nats the weight shrinks by 20 % x 100 responses / 1000 a step.
    assert max(ran.series("actor/kl_per_response")) < 4.8
    weights = ran.series("actor/reward_kl_penalty_coeff")
    assert weights == pytest.approx([0.2 * 0.98**step for step in range(8)], rel=1e-4)


def test_rl_hand_learns_from_a_reward_model_and_keeps_policy_and_critic_of_each_epoch(
    run: Callable[..., Ran], tmp_path: Path
) -> None:
    model = make(tmp_path / "deberta", "DebertaV2ForSequenceClassification")
    words = ("--reward_model", str(model), "--steps", "20", "--test_freq", "20")
    ran = run(tmp_path / "hand", "--recipe", "rl_hand", *words)
    ended_well(ran, "cpu_rl_hand", 20)
    assert rises(ran) > 0.1
    assert rises(ran, "reward/rm_raw/mean") > 0
    assert set(ran.series("reward/rm_failed/mean")) == {0.0}
    assert max(ran.series("critic/score/max")) <= 5

    # A = R - V as it is: whitened advantages would have mean 0.
    advantages = ran.series("critic/advantages/mean")
    parts = zip(ran.series("critic/returns/mean"), ran.series("critic/values/mean"), strict=True)
    assert advantages == pytest.approx([returns - values for returns, values in parts], abs=1e-4)
    assert max(map(abs, advantages)) > 0.01
    assert all(loss > 0 for loss in ran.series("actor/kl_loss")[1:])
    assert ran.series("actor/reward_kl_penalty_coeff") == []

    epochs = ran.folder / "epochs"
    assert {path.name for path in epochs.iterdir()} == {f"epoch_{n}" for n in range(1, 11)}
    last = epochs / "epoch_10"
    assert {path.name for path in last.iterdir()} == {
        "actor", "critic", "config.yaml", "training_curves.png", "epoch.json",
    }  # fmt: skip
    trained = ran.folder / "checkpoints" / "global_step_20"
    critic = AutoModelForTokenClassification.from_pretrained(last / "critic")
    assert critic.config.num_labels == 1
    for role, loaded in (
        ("actor", AutoModelForCausalLM.from_pretrained(last / "actor")),
        ("critic", critic),
    ):
        weights, shards = loaded.state_dict(), Shards(trained / role)
        assert all(torch.equal(weights[name].float(), shards[name].float()) for name in shards)
        assert AutoTokenizer.from_pretrained(last / role).eos_token
