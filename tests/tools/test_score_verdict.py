"""What ./train.sh score says of rewards, good and bad, and of responses; with real rewards."""

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.part import Failure, Part, Row
from rewards.reward import Reward
from rewards.spec import RULES, Gate, PartSpec, RewardSpec, RuleSpec
from verlaunch.plan.reward.trial.answers import answers_to
from verlaunch.plan.reward.trial.glance import looks_cut, short, states
from verlaunch.plan.reward.trial.measure import (
    MOST_HANGS,
    Recorder,
    Scored,
    at_once,
    recorded,
    score_all,
)
from verlaunch.plan.reward.trial.remark import Remark
from verlaunch.plan.reward.trial.summary import Source, distribution, quantile, summarise
from verlaunch.tools.score.picture import draw
from verlaunch.tools.score.verdict import verdict

LONG = "First we add the two numbers, and then we think about it a bit more"
TRUTHS = ("4", "5", "6", "7")


def measured(spec: RewardSpec, rows: Sequence[Row], told: Sequence[float | None] | None = None):
    async def measure() -> list[Scored]:
        reward, recorders = recorded(spec)
        try:
            return await score_all(reward, recorders, list(answers_to(rows, told)), at_once(spec))
        finally:
            await reward.close()

    return asyncio.run(measure())


def source_of(spec: RewardSpec, rows: Sequence[Row], *told: float | None) -> Source:
    """told: one score, or None, for each row makes the rows' own responses count."""
    (source,) = summarise(spec, measured(spec, rows, told or None))
    return source


def function(tmp_path: Path, expression: str) -> RewardSpec:
    path = tmp_path / "own.py"
    path.write_text(f"def score(solution_str, ground_truth):\n    return {expression}\n")
    rules = RuleSpec(function=f"{path}:score", timeout_s=1)
    return RewardSpec((PartSpec("rule_score", rules),), {"rule_score": 1.0})


def rows(*responses: str, source: str = "math_reasoning") -> list[Row]:
    texts = responses or ("",) * len(TRUTHS)
    return [Row(source, text, truth) for text, truth in zip(texts, TRUTHS, strict=False)]


def worst(source: Source) -> Remark:
    return verdict(source)[0]


def said(source: Source, level: str) -> str:
    return "\n".join(found.text for found in verdict(source) if found.level == level)


def test_a_good_rule_is_good_in_one_sentence() -> None:
    source = source_of(RULES, rows())
    (found,) = verdict(source)
    assert found.level == "good" and "all 4 reference answers score above" in found.text
    assert {kind: one.mean for kind, one in source.scores.items()} == {
        "reference": 1.0,
        "empty": 0.0,
        "junk": 0.0,
    }


def test_references_in_which_the_rule_finds_no_answer() -> None:
    found = worst(source_of(RULES, [Row("math_reasoning", "", "no number at all: ####")]))
    assert found.level == "bad" and "--answer_key" not in found.text
    assert "no answer can be read in the ground truth 'no number at all" in found.text


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("0", "constant reward: every answer scores 0, good or bad"),
        ("0.5", "constant reward: every answer scores 0.5"),
        ("len(solution_str)", "does not tell reference answers from junk (reference 1, empty 0"),
        ("-len(solution_str)", "does not tell reference answers from junk"),
        ("float(solution_str == 'x')", "constant reward"),
        (
            "float(solution_str[0] == ground_truth)",
            "4 of 12 calls failed (exception 4)",
        ),
        ("1 / 0", "nothing could be scored; the first, on a reference answer: own.py:2: ZeroDiv"),
    ],
)
def test_bad_rewards_are_called_bad(tmp_path: Path, expression: str, sentence: str) -> None:
    found = worst(source_of(function(tmp_path, expression), rows()))
    assert found.level == "bad" and sentence in found.text


def test_a_reward_that_misses_some_references_shows_them(tmp_path: Path) -> None:
    found = worst(source_of(function(tmp_path, "float(solution_str in ('4', '5', '6'))"), rows()))
    assert found.level == "look" and "only 3 of 4 reference answers score above" in found.text
    assert [one.answer.row.response for one in found.examples] == ["7"]


def test_rows_without_a_reference_prove_nothing() -> None:
    found = worst(source_of(RULES, [Row("math_reasoning", "", "")]))
    assert found.level == "bad" and "--answer_key" in found.text


def test_responses_without_an_answer_are_told_from_wrong_ones() -> None:
    none = worst(source_of(RULES, rows("hm", "well", "no", "idea"), *[None] * 4))
    wrong = worst(source_of(RULES, rows("1", "1", "1", "1"), *[None] * 4))
    assert none.level == wrong.level == "bad" and len(none.examples) == 2
    assert none.text == (
        "every response scores 0: none has an answer that the rule finds (answered 0 %)"
    )
    assert "an answer is found in 100% of them, and it is never the right one" in wrong.text


def test_cut_and_empty_responses_are_named() -> None:
    cut = said(source_of(RULES, rows(LONG, LONG, "<think> 4 + 0 is 4.", "7"), *[None] * 4), "look")
    assert "3 of 4 responses stop in mid-sentence" in cut and "--max_response_length" in cut
    empty = said(source_of(RULES, rows("", " ", "6", "7"), *[None] * 4), "look")
    assert empty == "2 of 4 responses are empty"


def test_a_right_response_that_scores_low_is_shown(tmp_path: Path) -> None:
    strict = function(tmp_path, "float(solution_str == ground_truth)")
    source = source_of(strict, rows("4", "So it is 5.", "6", "no"), *[None] * 4)
    found = next(one for one in verdict(source) if "reference answer, and the lowest" in one.text)
    assert [one.answer.row.response for one in found.examples] == ["So it is 5."]


def test_responses_that_all_score_alike_teach_nothing(tmp_path: Path) -> None:
    high = worst(source_of(RULES, rows("4", "5", "6", "7"), *[None] * 4))
    assert high.level == "look" and "nothing is left to learn" in high.text
    half = function(tmp_path, "0.5 if solution_str == 'x' else float(solution_str == ground_truth)")
    middle = worst(source_of(half, rows("x", "x", "x", "x"), *[None] * 4))
    assert middle.level == "bad" and "PPO learns from differences" in middle.text


def test_scores_that_differ_from_the_files_are_told() -> None:
    source = source_of(RULES, rows("4", "1", "6", "7"), 1.0, 1.0, 1.0, None)
    assert "1 of 3 scores are not as in the file; the first is 1 there and 0 here" in said(
        source, "look"
    )
    assert not said(source_of(RULES, rows("4", "1"), 1.0, 0.0), "look")


def two_parts(tmp_path: Path, expression: str, **spec: object) -> RewardSpec:
    own = function(tmp_path, expression).parts[0].source
    parts = (PartSpec("rule_score", RuleSpec()), PartSpec("own_score", own))
    return RewardSpec(parts, {"rule_score": 0.7, "own_score": 0.3}, **spec)  # type: ignore[arg-type]


def test_each_part_has_its_weight_and_means(tmp_path: Path) -> None:
    source = source_of(two_parts(tmp_path, "len(solution_str) / 2"), rows())
    parts = {part.name: part for part in source.parts}
    assert parts["rule_score"].weight == 0.7 and parts["own_score"].weight == 0.3
    assert parts["own_score"].means["reference"] == 0.5 and parts["own_score"].means["empty"] == 0
    assert parts["rule_answered"].weight is None
    assert source.scores["reference"].mean == pytest.approx(0.7 + 0.15)


def test_a_part_that_adds_nothing_is_told(tmp_path: Path) -> None:
    source = source_of(two_parts(tmp_path, "0.25"), rows())
    assert said(source, "look") == "own_score is 0.25 for every answer: it adds nothing"


def test_a_part_behind_a_closed_gate_is_in_no_mean(tmp_path: Path) -> None:
    gated = two_parts(tmp_path, "0.5", gates={"own_score": Gate("rule_score", 1.0)})
    source = source_of(gated, rows())
    (part,) = [part for part in source.parts if part.name == "own_score"]
    assert part.means == {"reference": 0.5}


def test_a_part_without_a_weight_for_this_data_is_not_shown(tmp_path: Path) -> None:
    spec = two_parts(tmp_path, "0.5", by_source={"math*": {"rule_score": 1.0}})
    assert [part.name for part in source_of(spec, rows()).parts] == ["rule_score", "rule_answered"]


def test_a_function_that_hangs_is_not_asked_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "hang.py"
    path.write_text("def score():\n    while True: pass\n")
    rules = RuleSpec(function=f"{path}:score", timeout_s=0.2)
    spec = RewardSpec((PartSpec("rule_score", rules),), {"rule_score": 1.0})
    assert len(measured(spec, rows())) == MOST_HANGS


class Busy(Part):
    """Counts how many calls are under way; the judge behind it is down."""

    def __init__(self) -> None:
        self.now = self.most = 0

    async def score(self, row: Row) -> dict[str, float]:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.001)
        self.now -= 1
        if row.response == "":
            raise Failure("judge_unavailable", "no answer")
        return {"score": len(row.response) / 10}


def test_answers_are_scored_in_their_order_and_never_more_at_once_than_said() -> None:
    part = Busy()
    answers = list(answers_to([Row("any", "", f"answer {n}") for n in range(20)]))
    recorders = {"rule_score": Recorder(part)}
    scored = asyncio.run(score_all(Reward(RULES, recorders), recorders, answers, 5))
    assert [one.answer for one in scored] == answers and part.most == 5
    assert [one.result.failed for one in scored] == [a.row.response == "" for a in answers]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50))
def test_quartiles_stand_in_order_within_the_values(values: list[float]) -> None:
    found = distribution(values, min(values), max(values))
    in_order = [found.min, found.q1, found.median, found.q3, found.max]
    assert in_order == sorted(in_order) and found.min <= found.mean + 1e-6
    assert found.at_lowest > 0 and found.at_highest > 0 and math.isfinite(found.std)
    assert quantile(values, 0) == min(values) and quantile(values, 1) == max(values)


@given(st.text(max_size=400))
def test_any_text_is_shown_in_one_short_line(text: str) -> None:
    line = short(text)
    assert "\n" not in line and len(line) < 140
    assert looks_cut(text) in (True, False) and states(text, text) in (True, False)


@pytest.mark.parametrize(
    ("text", "is_cut"),
    [(LONG, True), (f"{LONG}.", False), ("Paris", False), ("", False), ("<think>hm. 4.", True),
     (f"{LONG} is 42", False), ("因为二加三等于五，所以答案是五。" * 3, False)],
)  # fmt: skip
def test_a_sentence_without_an_end_is_cut(text: str, is_cut: bool) -> None:
    assert looks_cut(text) == is_cut


@pytest.mark.parametrize(
    ("text", "truth", "found"),
    [("it is 42.", "42", True), ("it is 142", "42", False), ("it is 42.5", "42", False),
     ("it is PARIS!", "Paris", True), ("it is 42", "6 * 7 = 42\n#### 42", True), ("42", "", False),
     ("42 and then" + " more" * 99, "42", False), ("a", "long " * 20, False)],
)  # fmt: skip
def test_the_reference_is_found_at_the_end_as_words_of_its_own(
    text: str, truth: str, found: bool
) -> None:
    assert states(text, truth) == found


@pytest.mark.parametrize("name", ["math_reasoning", "$x_1$ {a}", "数学"])
@pytest.mark.filterwarnings("error")
def test_the_picture_is_a_png_whatever_the_names(tmp_path: Path, name: str) -> None:
    own = function(tmp_path, "len(solution_str) / 7")
    sources = summarise(own, measured(own, rows("4", "$\\frac{", source=name), [None] * 2))
    file = tmp_path / "scores.png"
    assert draw(sources, file) and file.read_bytes().startswith(b"\x89PNG")


def test_nothing_scored_is_no_picture(tmp_path: Path) -> None:
    sources = summarise(RULES, measured(RULES, rows(source="$x^2$ nobody knows")))
    assert not draw(sources, tmp_path / "scores.png") and list(tmp_path.iterdir()) == []
