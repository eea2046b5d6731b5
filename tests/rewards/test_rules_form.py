"""Rules about the form of a response: tags, JSON, length, repetition."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewards.part import Failure
from rewards.rules import format as form
from rewards.rules import length, repetition

RIGHT_TAGS = [
    "<think>6 * 7</think><answer>42</answer>",
    "  <think>\n6 * 7\n</think>\n\n<answer>\n42</answer>\n",
    "<think>is 3 < 4 > 2?</think> <answer>yes</answer>",
]
WRONG_TAGS = [
    *("", "42", "<think>6 * 7</think>", "<answer>42</answer><think>6 * 7</think>"),
    *("Well: <think>6 * 7</think><answer>42</answer>", "<think>6 * 7</think><answer>42</answer>."),
    *("<think>6</think> so <answer>42</answer>", "<think>6<answer>42</answer></think>"),
    *("<think> </think><answer>42</answer>", "<think>6 * 7</think><answer></answer>"),
    *("<think>6</think><answer>4</answer><answer>2</answer>", "<think>6<answer>42</answer>"),
    *("<THINK>6</THINK><ANSWER>42</ANSWER>", "</think>6<think></answer>42<answer>"),
]


@pytest.mark.parametrize("response", RIGHT_TAGS)
def test_tags_in_order_with_nothing_outside_score_one(response: str) -> None:
    assert form.compute_score("format", response) == {"score": 1.0}


@pytest.mark.parametrize("response", WRONG_TAGS)
def test_missing_doubled_empty_or_misplaced_tags_score_zero(response: str) -> None:
    assert form.compute_score("format", response) == {"score": 0.0}


def test_a_first_tag_that_the_prompt_opened_is_not_asked_for() -> None:
    inside = "6 * 7</think><answer>42</answer>"
    assert form.compute_score("format", inside, opened=True)["score"] == 1.0
    assert form.compute_score("format", inside)["score"] == 0.0
    assert form.compute_score("format", f"<think>{inside}", opened=True)["score"] == 0.0


def test_tags_may_be_others() -> None:
    scores = form.compute_score("format", "<a>1</a><b>2</b><c>3</c>", tags=["a", "b", "c"])
    assert scores == {"score": 1.0}


SHREDS = st.lists(
    st.sampled_from(("<think>", "</think>", "<answer>", "</answer>", "x", " ", "<", ">")),
    max_size=12,
).map("".join)


@given(SHREDS)
@settings(deadline=None, max_examples=300)
def test_what_scores_one_has_each_tag_once(response: str) -> None:
    if form.compute_score("format", response)["score"]:
        assert all(response.count(tag) == 1 for tag in ("<think>", "</think>", "<answer>"))
        assert response.strip().startswith("<think>") and response.strip().endswith("</answer>")


PERSON = {
    "type": "object",
    "properties": {"age": {"type": "integer", "minimum": 0}},
    "required": ["age"],
    "additionalProperties": False,
}


def as_json(response: str, schema: Any = PERSON) -> dict[str, float]:
    return form.json_schema("json", response, "", {"json_schema": schema})


@pytest.mark.parametrize(
    "response",
    [
        '{"age": 3}',
        ' {"age":3}\n',
        'Here:\n```json\n{"age": 3}\n```',
        '```\n{"age": 3}```\nDone.',
        '```json\n{"age": "?"}\n```\nbetter:\n```json\n{"age": 3}\n```',
        '<think>{"age": -3}</think>\n{"age": 3}',
        'three, I think</think>\n```json\n{"age": 3}\n```',
        '<think>hm</think> <answer>{"age": 3}</answer>',
        '<answer>\n```json\n{"age": 3}\n```\n</answer> Done.',
    ],
)
def test_json_that_is_valid_scores_one(response: str) -> None:
    assert as_json(response) == as_json(response, json.dumps(PERSON)) == {"score": 1, "parsed": 1}


@pytest.mark.parametrize("response", ['{"age": -3}', '{"age": "3"}', "[]", "3", "{}", "null"])
def test_json_that_is_not_valid_is_told_from_what_is_no_json(response: str) -> None:
    assert as_json(response) == {"score": 0.0, "parsed": 1.0}


@pytest.mark.parametrize(
    "response",
    [
        "",
        "age: 3",
        '{"age": 3',
        '{"age": NaN}',
        "[" * 50_000,
        '<think>{"age": 3}',
        '<think>```json\n{"age": 3}\n```</think> No.',
        '{"age": 3}</think>',
    ],
)
def test_what_is_no_json_scores_zero(response: str) -> None:
    assert as_json(response) == {"score": 0.0, "parsed": 0.0}


def test_the_schema_may_be_an_option_and_the_rows_own_beats_it() -> None:
    assert form.json_schema("json", "3", schema={"type": "integer"})["score"] == 1.0
    own = {"json_schema": {"type": "string"}}
    assert form.json_schema("json", "3", "", own, schema={"type": "integer"})["score"] == 0.0


@pytest.mark.parametrize("schema", [None, "{", {"type": "nope"}, {"$ref": "http://[::1]:9/a.json"}])
def test_a_schema_that_cannot_be_used_is_a_failure_and_not_a_low_score(schema: Any) -> None:
    with pytest.raises(Failure) as caught:
        as_json('{"age": 3}', schema)
    assert caught.value.kind in ("no_schema", "bad_schema")


@given(st.text())
@settings(deadline=None)
def test_no_text_makes_the_json_rule_raise(response: str) -> None:
    scores = as_json(f"```json\n{response}```")
    assert scores.keys() == {"score", "parsed"} and scores["score"] <= scores["parsed"]


def test_length_falls_from_one_to_zero_before_the_limit() -> None:
    def at(characters: int) -> float:
        return length.compute_score("length", "x" * characters, limit=100, buffer=20)["score"]

    assert [at(n) for n in (1, 80, 90, 100, 200)] == [1.0, 1.0, 0.5, 0.0, 0.0]


def test_length_counts_words_where_it_is_told_to() -> None:
    text = "word " * 90 + "猫" * 5
    scores = length.compute_score("length", text, limit=100, buffer=10, unit="words")
    assert scores == {"score": 0.5}


@pytest.mark.parametrize(("limit", "buffer"), [(100, 0), (100, 101), (0, 0), (10, -1)])
def test_a_length_that_makes_no_sense_says_so(limit: int, buffer: int) -> None:
    with pytest.raises(ValueError, match="buffer is"):
        length.compute_score("length", "x", limit=limit, buffer=buffer)


def test_repetition_is_the_share_of_distinct_n_grams() -> None:
    def of(text: str, n: int = 4) -> float:
        return repetition.compute_score("repetition", text, n=n)["score"]

    assert of("yes it is so yes it is so", n=2) == pytest.approx(4 / 7)
    assert of("every word is here once") == of("two words") == 1.0
    assert of("the same again " * 500) < 0.01 and of("a" * 10_000) < 0.01
    assert of("猫" * 500) < 0.01 and of("Again again AGAIN again again") == 0.5


@given(st.text(), st.integers(1, 6))
@settings(deadline=None)
def test_penalties_stay_between_zero_and_one(text: str, n: int) -> None:
    assert 0 <= repetition.compute_score("repetition", text, n=n)["score"] <= 1
    assert 0 <= length.compute_score("length", text, limit=50, buffer=10)["score"] <= 1
