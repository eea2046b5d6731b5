"""Cheap answers: a reward that pays them is caught, a sound one is not; a right guess is none."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from rewards.part import Row
from rewards.spec import PartSpec, RewardSpec, RuleSpec
from verlaunch.plan.reward.trial import rules
from verlaunch.plan.reward.trial.answers import answers_to
from verlaunch.plan.reward.trial.attack import attacks
from verlaunch.plan.reward.trial.final import says
from verlaunch.plan.reward.trial.measure import measure
from verlaunch.plan.reward.trial.on_attack import on_attack, paid
from verlaunch.plan.reward.trial.summary import Source, summarise
from verlaunch.plan.reward.trial.trial import try_reward

TRUTHS = ("8", "15", "y^2 - 9 = 0", "-23")
NUMBER = """
def number(text):
    try:
        return float(text.strip())
    except ValueError:
        return None
"""


def asked(truth: str, source: str = "any") -> Row:
    return Row(source, "", truth, {}, ({"role": "user", "content": f"What is {truth}, told?"},))


ROWS = [asked(truth) for truth in TRUTHS]


def part(folder: Path, expression: str, name: str = "rule_score") -> PartSpec:
    path = folder / f"{name}.py"
    body = "def score(solution_str, ground_truth):\n    s, t = solution_str, ground_truth\n"
    path.write_text(f"import re, time\n{NUMBER}\n{body}    return float({expression})\n")
    return PartSpec(name, RuleSpec(function=f"{path}:score", timeout_s=90))


def by(folder: Path, expression: str) -> RewardSpec:
    return RewardSpec((part(folder, expression),), {"rule_score": 1.0})


def attacked(spec: RewardSpec, rows: Sequence[Row]) -> Source:
    answers = [*answers_to(rows), *attacks(rows)]
    _, scored = asyncio.run(measure(spec, answers))
    (source,) = summarise(spec, scored)
    return source


def kinds(spec: RewardSpec, rows: Sequence[Row] = ROWS) -> dict[str, int]:
    return {one.kind: len(one.rows) for one in paid(attacked(spec, rows)) if one.rows}


@pytest.mark.parametrize(
    ("expression", "kind", "rows"),
    [
        ("t in s", "the reference in a thought", 4),
        ("t in s", "the reference denied", 4),
        ("t in s", "two references", 4),
        ("t in s", "the prompt", 4),
        ("s.strip('- ') == t.strip('- ')", "the reference with a minus", 3),
        ("s.split('=')[-1].strip() == t.split('=')[-1].strip()", '"= 0"', 1),
        ("s.split('=')[-1].strip() == t.split('=')[-1].strip()", "the reference's last word", 1),
        ("bool(re.search('[0-9]', s))", "a wrong number", 4),
        ("s == t or s.count(',') > 50", "all numbers from 0 to 100", 4),
        ("s == t or s.count(',') == 9", "all letters at once", 4),
        ("s == t or len(s) == 1 and s.isalpha()", "any letter", 4),
        ("s == t or s in ('yes', 'no')", '"yes" and "no" alike', 4),
        ("s == t or 'boxed' in s", "an answer left blank", 4),
        ("s == t or 'import' not in s and s.isalpha()", "a program that does nothing", 4),
        ("1 if s == t else 0.9 if s.startswith('lorem') else 0", "junk", 4),
        (f"s in {TRUTHS!r}", "another row's reference", 4),
    ],
)
def test_a_reward_that_can_be_gamed_is_caught(
    tmp_path: Path, expression: str, kind: str, rows: int
) -> None:
    assert kinds(by(tmp_path, expression)).get(kind) == rows


@pytest.mark.parametrize(
    "expression",
    [
        "s == t",
        "s.strip() == t",
        "s == t or number(s) is not None and number(s) == number(t)",
        "2 * (s == t) - 1 + 0.2 * bool(s)",  # something for any answer, and much for the right one
        "(s == t) or (number(s) is not None) * 0.1",
    ],
)
def test_a_sound_reward_is_not(tmp_path: Path, expression: str) -> None:
    source = attacked(by(tmp_path, expression), ROWS)
    assert [one.kind for one in paid(source) if one.rows] == []
    (remark,) = on_attack(source)
    assert remark.level == "good" and "cheap answers is paid" in remark.text


def test_the_right_letter_is_no_cheap_answer_and_two_letters_are(tmp_path: Path) -> None:
    rows = [Row("any", "", letter, {"choices": ["1", "2", "3"]}) for letter in "ABCA"]
    assert kinds(by(tmp_path, "s.strip() == t"), rows) == {}
    assert kinds(by(tmp_path, "len(s.strip()) == 1"), rows)["any letter"] == 3


def test_parts_of_a_mixture_are_tried_together(tmp_path: Path) -> None:
    own = part(tmp_path, "t in s", "own_score")
    spec = RewardSpec((part(tmp_path, "s == t"), own), {"rule_score": 0.2, "own_score": 0.8})
    assert kinds(spec)["the reference denied"] == 4
    much = RewardSpec(spec.parts, {"rule_score": 0.8, "own_score": 0.2})
    assert kinds(much) == {}


def test_a_constant_reward_is_told_elsewhere(tmp_path: Path) -> None:
    assert kinds(by(tmp_path, "1")) == {}


def test_answers_are_shown_by_row_with_an_example_of_each_kind(tmp_path: Path) -> None:
    (remark,) = on_attack(attacked(by(tmp_path, "t in s"), ROWS))
    assert remark.level == "bad" and "the reference denied on 4 of 4" in remark.text
    assert "8" in remark.examples[0].answer.row.response


def test_rows_without_a_reference_are_tried_too(tmp_path: Path) -> None:
    rows = [Row("any", "", "", {}, ({"role": "user", "content": "Be brief."},))]
    source = attacked(by(tmp_path, "s == 'Be brief.'"), rows)
    assert [one.kind for one in paid(source) if one.rows] == ["the prompt"]
    assert not any(one.rows for one in paid(source, without_reference=False))


def test_a_plan_warns_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "CHEAP_S", 60.0)
    (note,) = try_reward(by(tmp_path, "t in s"), ROWS, 8.0).notes
    assert "--reward_fn" in note and "the reference in a thought on 4 of 4" in note
    assert note.endswith("score --attack")
    assert try_reward(by(tmp_path, "s == t"), ROWS, 8.0).notes == []


@pytest.mark.parametrize("seconds", [0.0, 2.0])
def test_a_plan_leaves_cheap_answers_out_where_they_take_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setattr(rules, "CHEAP_S", seconds)
    slow = by(tmp_path, "t in s if s in (t, '', 'lorem ipsum dolor sit amet') else time.sleep(60)")
    found = try_reward(slow, ROWS, 8.0)
    assert found.notes == [] and found.means["any"]["reference"] == 1.0


def test_a_program_that_does_nothing_is_tried_beside_junk() -> None:
    spec = RewardSpec(
        (PartSpec("rule_score", RuleSpec(allow_unsafe_code=True)),), {"rule_score": 1.0}
    )
    silent = Row("code", "", '{"inputs": [""], "outputs": [""]}', {"solution": "print()"})
    found = try_reward(spec, [silent], 8.0)
    assert found.means["code"]["pass"] == 1.0
    assert any("does not tell" in note or "constant" in note for note in found.notes)
    unsolved = Row("code", "", '{"inputs": [""], "outputs": [""]}', {})
    assert any("`pass` on 1 of 1" in note for note in try_reward(spec, [unsolved], 8.0).notes)


@pytest.mark.parametrize(
    ("answer", "reference", "same"),
    [
        ("48", "6 * 8 = 48", True), ("48", "6 * 8\n#### 48", True), ("9", r"\boxed{9}", True),
        ("3", r"\frac{12}{4}", True), ("1250", "1,250", True), ("17", "17 kites", True),
        ("5", "f(2) = 5", True), ("b", "B", True), ("0", "x^2 - 4 = 0", False),
        ("5", r"4\sqrt5", False), ("2", "y = 2x", False), ("7", "(0, 7)", False),
        ("6", "First she has 6 of them, and then 9 more, so it is 15.", False),
        ("15", "First she has 6 of them, and then 9 more, so it is 15.", True),
    ],
)  # fmt: skip
def test_a_right_number_is_told_by_its_looks(answer: str, reference: str, same: bool) -> None:
    assert says(answer, reference) == same
