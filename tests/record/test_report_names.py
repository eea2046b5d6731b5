"""Short names say the same for every run, and the screen takes its words from them."""

import math

import pytest

from tests.recorded_run import metrics
from verlaunch.launch.screen import ON_SCREEN
from verlaunch.record.report.named_steps import Series
from verlaunch.record.report.names import METRICS, by_name, parts, short, validation_score, value

KL = by_name["kl_divergence"]


def test_names_are_unique_and_every_metric_is_explained() -> None:
    assert len(by_name) == len(METRICS)
    assert all(metric.title and metric.help.endswith(".") for metric in METRICS)
    assert all(f"{1.5:{metric.form}}" for metric in METRICS)


def test_the_names_that_others_build_on_are_there() -> None:
    promised = ("reward_mean", "validation_score", "kl_divergence", "policy_loss", "value_loss",
                "clip_fraction", "entropy", "advantage_mean", "response_length",
                "throughput")  # fmt: skip
    line = list(metrics(10))[-1]
    assert set(promised) <= short(line).keys()
    assert set(ON_SCREEN.values()) <= by_name.keys()


def test_a_recorded_line_has_verls_numbers_under_short_names() -> None:
    line = list(metrics(10))[-1]
    named = short(line)
    assert named["reward_mean"] == line["critic/score/mean"]
    assert named["step_time_s"] == line["timing_s/step"]
    assert named["validation_score"] == line["val-core/math_reasoning/reward/mean@1"]
    assert named["reward_part_rule_score"] == line["reward/rule_score/mean"]
    assert "reward_part_score" not in named and "reward_part_reward_failed" not in named


def test_kl_is_the_penaltys_before_the_losss_before_the_updates() -> None:
    keys = ("actor/reward_kl_penalty", "actor/kl_loss", "actor/ppo_kl")
    line = dict(zip(keys, (0.1, 0.2, 0.3), strict=True))
    for key, expected in zip(keys, (0.1, 0.2, 0.3), strict=True):
        assert value(KL, line) == expected
        del line[key]
    assert value(KL, line) is None


@pytest.mark.parametrize("broken", [None, math.nan, math.inf, -math.inf, "0.1", True, [0.1]])
def test_what_is_no_finite_number_is_no_value(broken: object) -> None:
    line = {"actor/reward_kl_penalty": broken, "actor/ppo_kl": 0.5}
    assert value(KL, line) is None  # and not another KL in its place
    assert parts({"reward/x/mean": broken}) == {}


def test_a_validation_score_weighs_each_data_source_the_same() -> None:
    line = {"val-core/a/reward/mean@1": 0.2, "val-core/b/reward/mean@1": 0.6,
            "val-core/a/reward/best@4": 1.0}  # fmt: skip
    assert validation_score(line) == pytest.approx(0.4)


def test_a_series_has_the_validation_before_the_first_step_as_well() -> None:
    series = Series(metrics(20))
    assert [step for step, _ in series.validations] == [0, 10, 20]
    assert len(series) == 20 and len(series.points("validation_score")) == 2


def test_a_missing_number_is_a_gap_and_no_zero() -> None:
    series = Series(metrics(8))
    assert [step for step, _ in series.points("policy_grad_norm")] == [1, 2, 3, 4, 6, 7, 8]
