"""Several parts, weighed, gated and scaled into one score; and what a run keeps of them."""

import asyncio
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.column_means import means
from rewards.part import CannotStart, Failure, Part, Row
from rewards.reward import Result, Reward
from rewards.scale import Scale
from rewards.spec import (
    Gate,
    JudgeSpec,
    ModelSpec,
    PartSpec,
    RewardSpec,
    RuleSpec,
    from_dict,
    to_dict,
)


class Counting(Part):
    """Scores the number after `name:` in "a:1 b:0.5"; "x" fails, "!" for good."""

    keys = ("seen",)

    def __init__(self, name: str) -> None:
        self.name, self.asked = name, 0

    async def score(self, row: Row) -> dict[str, float]:
        self.asked += 1
        said = dict(word.split(":") for word in row.response.split())[self.name]
        if said in "x!":
            raise Failure("down", f"{self.name} is down", final=said == "!")
        return {"score": float(said), "seen": 1.0}

    def curves(self) -> dict[str, float]:
        return {"calls": float(self.asked)}


A, B = PartSpec("a_score", RuleSpec()), PartSpec("b_score", RuleSpec())
EVEN = {"a_score": 0.7, "b_score": 0.3}


def reward_of(*parts: PartSpec, weights: dict[str, float] | None = None, **more: Any) -> Reward:
    made = {part.name: Counting(part.stem) for part in parts}
    return Reward(RewardSpec(parts, weights or EVEN, **more), made)


def scored(reward: Reward, *responses: str, source: str = "s") -> list[Result]:
    async def each() -> list[Result]:
        return [await reward.score(Row(source, response)) for response in responses]

    return asyncio.run(each())


def test_a_score_is_the_weighted_sum_and_every_part_is_a_column() -> None:
    (row,) = scored(reward_of(A, B), "a:1 b:0.5")
    assert row.score == pytest.approx(0.85)
    assert row.parts == {
        "a_score": 1.0, "a_failed": 0.0, "a_weight": 0.7, "a_asked": 1.0, "a_seen": 1.0,
        "b_score": 0.5, "b_failed": 0.0, "b_weight": 0.3, "b_asked": 1.0, "b_seen": 1.0,
        "reward_failed": 0.0,
    }  # fmt: skip


def test_a_failed_part_counts_its_mean_and_the_others_count_as_they_are() -> None:
    first, row = scored(reward_of(A, B), "a:1 b:0.5", "a:0 b:x")
    assert row.score == pytest.approx(0.3 * 0.5)
    assert row.failed and row.reason == "b is down"
    assert (row.parts["a_failed"], row.parts["b_failed"], row.parts["reward_failed"]) == (0, 1, 1)
    assert row.parts.keys() == first.parts.keys()


def test_weights_by_data_source_and_a_part_without_one_is_not_asked() -> None:
    reward = reward_of(A, B, by_source={"code/*": {"a_score": 1.0}})
    (row,) = scored(reward, "a:0.5 b:1", source="code/x")
    assert row.score == 0.5 and row.parts["b_weight"] == 0.0
    assert reward.curves() == {"calls": 1.0, "b/calls": 0.0}


def test_a_gate_lets_a_part_count_only_behind_another() -> None:
    reward = reward_of(A, B, gates={"a_score": Gate("b_score", 1.0)})
    closed, opened = scored(reward, "a:1 b:0.5", "a:1 b:1")
    assert (closed.score, opened.score) == (pytest.approx(0.15), pytest.approx(1.0))
    assert reward.curves()["calls"] == 1.0  # nothing is spent on what cannot count


def test_a_gate_may_need_a_part_that_has_no_weight() -> None:
    gates = {"a_score": Gate("b_score", 1.0)}
    rows = scored(reward_of(A, B, weights={"a_score": 1.0}, gates=gates), "a:1 b:0", "a:1 b:1")
    assert [row.score for row in rows] == [0.0, 1.0]


def test_a_gate_on_a_failed_part_neither_opens_nor_closes() -> None:
    reward = reward_of(A, B, gates={"a_score": Gate("b_score", 1.0)})
    first, row = scored(reward, "a:1 b:1", "a:0 b:x")
    assert row.score == first.score == pytest.approx(1.0)  # both stand in with their means
    assert (row.parts["a_asked"], row.parts["b_failed"]) == (0.0, 1.0)


def test_curves_are_means_over_the_rows_that_a_part_was_asked_for() -> None:
    reward = reward_of(A, B, by_source={"only a": {"a_score": 1.0}})
    rows = scored(reward, "a:1 b:1") + scored(reward, "a:0 b:0", "a:0 b:0", source="only a")
    found = means(row.parts for row in rows)
    assert (found["a_score"], found["b_score"]) == (pytest.approx(1 / 3), 1.0)
    assert (found["b_asked"], found["b_weight"]) == (pytest.approx(1 / 3), pytest.approx(0.1))


def test_a_longer_stem_owns_its_columns() -> None:
    row = {"rm_asked": 0.0, "rm_score": 9.0, "rm_big_asked": 1.0, "rm_big_score": 1.0, "free": 2.0}
    assert means([row]) == {"rm_asked": 0.0, "rm_big_asked": 1.0, "rm_big_score": 1.0, "free": 2.0}


def test_a_fault_of_a_part_is_a_counted_row() -> None:
    reward = reward_of(A, B)
    (row,) = scored(reward, "a:1")  # no b: a KeyError in the part
    assert row.failed and "KeyError in the reward itself" in (row.reason or "")
    assert reward.counters["b_score"]["internal"] == 1


def test_a_validations_rows_move_no_mean_and_no_scale() -> None:
    reward = reward_of(PartSpec("a_score", ModelSpec("m"), "running"), weights={"a_score": 1.0})
    scored(reward, "a:1", "a:2")
    before = reward.state()
    asyncio.run(reward.score(Row("s", "a:50", counts=False)))
    assert reward.state() == before
    scored(reward, "a:50")
    assert reward.state() != before


def test_a_key_of_the_users_never_hides_one_of_ours() -> None:
    class Forging(Part):
        async def score(self, row: Row) -> dict[str, float]:
            return {"score": 1.0, "a_failed": 1.0, "a_score": 7.0}

    reward = Reward(RewardSpec((A,), {"a_score": 1.0}), {"a_score": Forging()})
    (row,) = scored(reward, "")
    assert (row.parts["a_score"], row.parts["a_failed"]) == (1.0, 0.0)


def test_rules_with_constants_of_the_run_are_not_computed_anywhere() -> None:
    assert RewardSpec((A,), EVEN).is_local
    assert not RewardSpec((PartSpec("a_score", RuleSpec(), "running"),), EVEN).is_local


def test_what_can_never_succeed_again_is_a_reason_to_stop_at_once() -> None:
    reward = reward_of(A, B)
    scored(reward, "a:1 b:x")
    assert reward.stop_reason() is None
    scored(reward, "a:1 b:!")
    assert reward.stop_reason() == "b_score: b is down"


def test_a_scaled_part_keeps_its_raw_score_as_a_column() -> None:
    reward = reward_of(PartSpec("a_score", ModelSpec("m"), "sigmoid"), weights={"a_score": 1.0})
    (row,) = scored(reward, "a:2")
    assert row.score == pytest.approx(1 / (1 + math.exp(-2)))
    assert row.parts["a_raw"] == 2.0 and row.parts["a_seen"] == 1.0


def test_an_affine_scale_is_fitted_to_references_and_resumes_with_its_constants() -> None:
    part = PartSpec("a_score", ModelSpec("m"), "affine")
    reward = reward_of(part, weights={"a_score": 1.0})
    references = [Row("s", f"a:{value}") for value in range(1, 10)]  # mean 5, deviation 2.74
    asyncio.run(reward.start(references))
    (row,) = scored(reward, "a:5")
    assert row.score == 0.0
    state = json.loads(json.dumps(reward.state()))
    again = Reward(reward.spec, {"a_score": Counting("a")}, reward.keys, state)
    asyncio.run(again.start([]))
    assert (
        scored(again, "a:8")[0].score
        == scored(reward, "a:8")[0].score
        == pytest.approx(1.0954, abs=1e-3)
    )


def test_an_affine_scale_without_references_cannot_start() -> None:
    reward = reward_of(PartSpec("a_score", ModelSpec("m"), "affine"), weights={"a_score": 1.0})
    with pytest.raises(CannotStart, match=r"at least 8 rows .*; 1 were scored.*a is down.*running"):
        asyncio.run(reward.start([Row("s", "a:1"), Row("s", "a:x")]))


def test_a_running_scale_is_clipped() -> None:
    scale = Scale("running")
    for value in [0.0, 1.0] * 50:
        scale(value)
    assert scale(1000.0) == 5.0 and Scale("none")(1000.0) == 1000.0
    assert Scale("none", clip=2.0)(-1000.0) == -2.0


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.floats(-1e300, 1e300))
def test_every_scale_of_finite_scores_is_finite(seen: list[float], raw: float) -> None:
    for kind in ("none", "affine", "running", "sigmoid"):
        scale = Scale(kind)  # type: ignore[arg-type]
        scale.fit(seen)
        assert math.isfinite(scale(raw))


def test_a_spec_travels_as_json() -> None:
    judge = JudgeSpec("openai", "m", "system", "score {response}", scale=(1, 5), rpm=60.0)
    spec = RewardSpec(
        (A, PartSpec("rm_score", ModelSpec("m"), "affine", 5.0), PartSpec("judge_score", judge)),
        {"a_score": 1.0},
        {"x*": {"judge_score": 1.0}},
        {"a_score": Gate("judge_score", 0.5)},
    )
    assert from_dict(json.loads(json.dumps(to_dict(spec)))) == spec
