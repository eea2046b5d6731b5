"""Which rule scores which rows, and what the rewards may import."""

import subprocess
import sys

import pytest

from rewards.registry import UnknownDataSource, known_sources, rule_for
from rewards.rules.math_reasoning import compute_score


def test_math_rows_get_the_math_rule() -> None:
    for name in ("math_reasoning", "math_reasoning/easy", "openai/gsm8k"):
        assert rule_for(name) is compute_score


def test_unknown_source_lists_the_known_ones_and_the_closest() -> None:
    with pytest.raises(UnknownDataSource) as caught:
        rule_for("Math_reasonin")
    assert all(name in str(caught.value) for name in known_sources())
    assert "Did you mean 'math_reasoning'?" in str(caught.value)


def test_every_rule_of_the_table_exists_and_scores() -> None:
    for pattern in known_sources():
        rule = rule_for(pattern.replace("*", "any"))
        assert rule(pattern, "42", "42")["score"] > rule(pattern, "", "42")["score"]


def test_rewards_need_no_torch_ray_verl_or_hydra() -> None:
    code = """
import sys
import rewards.guard, rewards.registry, rewards.user
rewards.registry.rule_for("math_reasoning")("math_reasoning", "42", "42")
heavy = {"torch", "ray", "verl", "hydra", "omegaconf", "numpy", "verlaunch"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True)
