"""Each alert on a run that must trigger it, and on its nearest healthy neighbours."""

import math
from collections.abc import Callable

import pytest

from tests.alert_history import Line, names, run, told
from verlaunch.record.alerts.series import FINITE
from verlaunch.record.report.names import only_validates

KL, ENTROPY = "actor/reward_kl_penalty", "actor/entropy"
LENGTH, TRUNCATED = "response_length/mean", "response/truncated"
JUDGE, FAILED = "reward/judge_failed/mean", "reward/reward_failed/mean"


def reward(value: float, spread: float = 0.0) -> dict[str, float | Callable[[int], float]]:
    return {
        "critic/score/mean": value,
        "critic/score/min": value - spread,
        "critic/score/max": value + spread,
    }


def only(lines: list[Line], name: str, **settings: object) -> str:
    """The sentence of the one alert that the run gives."""
    (alert,) = told(lines, **settings)
    assert alert.name == name
    assert alert.sentence.endswith(".") and not only_validates(lines[0])
    return alert.sentence


# ---- reward_zero, reward_constant ---------------------------------------------------------------


def test_a_reward_that_is_always_0_is_told_at_the_fifth_step() -> None:
    (alert,) = told(run(5, reward(0.0)))
    assert (alert.step, alert.name, alert.value) == (5, "reward_zero", 0.0)
    assert alert.sentence.startswith("reward always 0 since step 1: ")
    assert told(run(4, reward(0.0))) == []


@pytest.mark.parametrize(
    ("spoilt", "cause"),
    [
        ({TRUNCATED: 0.97}, "97% of responses are cut at 512 tokens"),
        ({"reward/answered/mean": 0.02}, "an answer was found in 2% of responses"),
        ({FAILED: 0.8, "reward/answered/mean": 0.0}, "80% of responses could not be scored"),
        ({}, "./train.sh score"),
    ],
)
def test_a_reward_of_0_comes_with_its_likely_cause(spoilt: dict[str, float], cause: str) -> None:
    alerts = told(run(6, {**reward(0.0), **spoilt}))
    (zero,) = [alert for alert in alerts if alert.name == "reward_zero"]
    assert cause in zero.sentence


def test_a_reward_that_comes_to_be_0_is_told_too() -> None:
    lines = run(30) + [{**line, "step": line["step"] + 30} for line in run(20, reward(0.0))]
    assert "always 0 since step 31" in only(lines, "reward_zero")


def test_small_batches_need_as_many_responses_as_large_ones() -> None:
    assert names(run(24, reward(0.0), batch=4)) == []
    assert told(run(25, reward(0.0), batch=4))[0].step == 25


def test_one_reward_for_every_response_is_told() -> None:
    sentence = only(run(8, reward(0.25)), "reward_constant")
    assert "reward is 0.25 for every response since step 1" in sentence


def test_rewards_that_differ_between_batches_of_one_are_not_constant() -> None:
    lines = run(60, batch=1)
    assert all(line["critic/score/min"] == line["critic/score/max"] for line in lines)
    assert names(lines) == []


def test_a_task_that_is_solved_is_no_constant_reward() -> None:
    solved = [{**line, "step": line["step"] + 40} for line in run(40, {**reward(1.0), KL: 0.02})]
    assert names(run(40) + solved) == []


# ---- judge ---------------------------------------------------------------------------------------


def test_failures_above_a_share_name_the_part_that_fails() -> None:
    sentence = only(run(10, {JUDGE: 0.08, FAILED: 0.08}), "judge")
    assert "8.0% of responses could not be scored by judge in steps 1 to 3" in sentence


def test_failures_that_become_more_are_told_before_the_share_is_reached() -> None:
    lines = run(40, {JUDGE: lambda step: 0.03 if step > 30 else 0.005})
    assert "3.0% of responses" in only(lines, "judge") and "up from 0.5%" in told(lines)[0].sentence


def test_a_few_failures_now_and_then_are_not_told() -> None:
    assert names(run(100, {JUDGE: lambda step: 0.2 if step % 4 == 0 else 0.01})) == []


# ---- nan -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", FINITE)
@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_a_number_that_is_none_is_told_at_once(key: str, value: float | None) -> None:
    lines = run(12)
    lines[6][key] = value
    (alert,) = told(lines)
    assert (alert.step, alert.name, alert.value) == (7, "nan", None)
    assert f"not a finite number in step 7: {key}" in alert.sentence


def test_explained_variance_of_equal_returns_may_be_nan() -> None:
    assert names(run(30, {"critic/vf_explained_var": math.nan})) == []


# ---- kl ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["actor/reward_kl_penalty", "actor/kl_loss"])
def test_kl_above_the_range_is_told_after_the_warm_up(key: str) -> None:
    lines = run(30, {key: lambda step: 0.0 if step == 1 else 0.2})
    if key == "actor/kl_loss":
        lines = [{k: v for k, v in line.items() if k != KL} for line in lines]
    assert told(lines)[0].step == 6
    assert "is 0.2 per token" in only(lines, "kl")


def test_far_above_is_another_alert_than_above() -> None:
    above, far = told(run(40, {KL: lambda step: 0.3 if step < 20 else 2.0}))
    assert "drifts" in above.sentence and "far above" in far.sentence


def test_a_short_response_may_decide_more_in_each_token() -> None:
    short = {"response_length/mean": 2.5}
    assert names(run(30, {KL: 0.3, **short})) == []
    assert "is 0.5 per token (median of steps 2 to 6), above 0.4" in only(
        run(30, {KL: 0.5, **short}), "kl"
    )


def test_an_adaptive_coefficient_leads_the_kl_where_its_target_is() -> None:
    assert names(run(40, {KL: 0.4}), target_kl=6.0) == []


def test_a_policy_that_does_not_move_is_told_when_the_reward_stands_still() -> None:
    still = {KL: 0.0002, **reward(0.3, 0.3)}
    assert told(run(60, still))[0].step == 30
    assert "the policy hardly changes" in only(run(60, still), "kl")
    assert names(run(29, still)) == []


def test_a_small_kl_is_welcome_while_the_reward_rises() -> None:
    def rising(step: int) -> float:
        return 0.2 + 0.01 * step

    assert names(run(60, {KL: 0.0002, "critic/score/mean": rising})) == []


def test_one_high_step_is_not_told() -> None:
    assert names(run(60, {KL: lambda step: 3.0 if step % 7 == 0 else 0.02})) == []


# ---- entropy -------------------------------------------------------------------------------------


def test_entropy_that_falls_to_a_tenth_is_told() -> None:
    lines = run(60, {ENTROPY: lambda step: 0.5 * 0.93 ** max(0, step - 5)})
    assert "0.5 at the start" in only(lines, "entropy")


def test_entropy_may_fall_slowly_or_be_low_from_the_start() -> None:
    assert names(run(200, {ENTROPY: lambda step: 0.5 * 0.992**step})) == []
    assert names(run(200, {ENTROPY: 0.02})) == []


def test_entropy_may_vanish_when_the_task_is_solved() -> None:
    def falls(step: int) -> float:
        return 0.5 * 0.9**step

    lines = run(60, {ENTROPY: falls, **reward(0.97), "critic/score/min": 0.0})
    for line in lines:
        line["critic/score/max"] = 1.0
    assert names(lines) == []


# ---- truncated, length ---------------------------------------------------------------------------


def test_responses_that_are_all_cut_are_told_at_the_third_step() -> None:
    (alert,) = told(run(20, {TRUNCATED: 0.98}))
    assert (alert.step, alert.name) == (3, "truncated")
    assert "98% of responses are cut at 512 tokens" in alert.sentence
    assert names(run(20, {TRUNCATED: 0.6})) == []


def test_length_that_explodes_while_the_reward_rises_is_told() -> None:
    lines = run(100, {LENGTH: lambda step: 100.0 + 4.0 * step})
    assert "grow from" in only(lines, "length")


def test_length_that_collapses_while_the_reward_rises_is_told() -> None:
    lines = run(100, {LENGTH: lambda step: max(20.0, 300.0 - 3.0 * step)})
    assert "shrink from" in only(lines, "length")


def test_longer_responses_alone_are_not_told() -> None:
    flat = reward(0.3, 0.3)
    assert names(run(100, {LENGTH: lambda step: 100.0 + 4.0 * step, **flat})) == []
    assert names(run(100, {LENGTH: lambda step: 100.0 + 1.2 * step})) == []
    assert names(run(100, {LENGTH: lambda step: 3.0 + 0.1 * step})) == []  # few tokens


# ---- value_loss ----------------------------------------------------------------------------------


def test_a_critic_that_explains_nothing_and_whose_loss_stays_is_told() -> None:
    stuck = {"critic/vf_loss": 0.2, "critic/vf_explained_var": -0.03}
    assert told(run(80, stuck))[0].step == 50
    assert "--critic_lr" in only(run(80, stuck), "value_loss")


@pytest.mark.parametrize(
    "healthy",
    [
        {"critic/vf_loss": 0.2},  # it explains what there is to explain
        {"critic/vf_loss": lambda step: 0.2 / step, "critic/vf_explained_var": -0.03},
        {"critic/vf_loss": 0.0, "critic/vf_explained_var": -0.03, "critic/returns/max": 0.0},
    ],
)
def test_either_sign_alone_says_nothing_of_a_critic(
    healthy: dict[str, float | Callable[[int], float]],
) -> None:
    assert names(run(120, healthy)) == []


def test_a_run_without_critic_and_reference_is_watched_as_well() -> None:
    gone = ("critic/vf", "critic/returns", KL)
    lines = [{key: value for key, value in line.items() if not key.startswith(gone)}
             for line in run(100, {TRUNCATED: 1.0})]  # fmt: skip
    assert names(lines) == ["truncated"]
