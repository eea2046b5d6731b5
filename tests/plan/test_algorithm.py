"""Settings of the algorithm that contradict each other are refused; the plan names the others."""

import math

import pytest
import torch

from tests.plan.test_plan import outlook, refused
from verlaunch.plan.rows import rows

ACTOR = "actor_rollout_ref.actor"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["algorithm.kl_ctrl.type=adaptive"], ("needs a target", "--target_kl")),
        (["--target_kl", "6", "algorithm.kl_ctrl.type=fixed"], ("type=fixed excludes",)),
        (["--target_kl", "6", "--kl_coef", "0"], ("kl_coef is 0", "--kl_coef 0.1")),
        (["--target_kl", "6", f"{ACTOR}.use_kl_loss=true"], ("use_kl_loss=true", "into the loss")),
        (["--target_kl", "6", "algorithm.use_kl_in_reward=false"], ("takes it out",)),
        (["algorithm.kl_ctrl.target_kl=-1"], ("target_kl=-1", "above 0")),
        (["--target_kl", "6", "--kl_horizon", "10", "--batch_size", "128"],
         ("128 responses", "--kl_horizon 128")),
        (["--whiten_advantages", "off", "--adv_estimator", "grpo", "--rollout_n", "4"],
         ("--adv_estimator gae", "grpo")),
    ],
)  # fmt: skip
def test_settings_that_do_not_go_together_give_one_sentence(
    argv: list[str], words: tuple[str, ...]
) -> None:
    problems = refused(*argv)
    assert len(problems) == 1, problems
    assert all(word in problems[0] for word in words), problems


def said(*argv: str) -> str:
    """The algorithm of settings that go together."""
    assert refused(*argv) == []
    return dict(rows(outlook(*argv)))["algorithm"]


def test_an_adaptive_coefficient_needs_no_more_than_a_target() -> None:
    found = said("--target_kl", "6", "--kl_coef", "0.05")
    assert "KL 0.05 in the reward at first, towards 6.0 nats per response" in found


def test_the_plan_names_what_verl_has_no_key_for() -> None:
    found = said("--stop_kl", "0.01", "--whiten_advantages", "off")
    assert "advantages as they are" in found
    assert "updates stop above a KL of 0.01 per token" in found
    assert "advantages" not in said() and "updates stop" not in said()
    assert "KL 0.001 in the loss (k3, whose" in said(f"{ACTOR}.use_kl_loss=true")
    k1 = said(f"{ACTOR}.use_kl_loss=true", f"{ACTOR}.kl_loss_type=k1")
    assert "KL 0.001 in the loss" in k1 and "k3" not in k1


def test_a_warm_up_is_named_with_its_first_step() -> None:
    steps = said("--steps", "40", f"{ACTOR}.optim.lr_warmup_steps=4")
    share = said("--steps", "40", f"{ACTOR}.optim.lr_warmup_steps_ratio=0.1")
    for found in (steps, share):
        assert "actor lr 1e-06 after 4 steps of warm-up, of which the first is at 0" in found
    assert "warm-up" not in said()


def test_the_estimate_is_flat_from_where_the_plan_says() -> None:
    from verl.trainer.ppo.core_algos import kl_penalty

    def gradient(times_rarer: float) -> float:
        now = torch.tensor(-math.log(times_rarer), requires_grad=True)
        kl_penalty(now, torch.tensor(0.0), "low_var_kl").backward()
        return float(now.grad or 0)

    assert gradient(13.5) != 0 and gradient(13.7) == 0
