"""Question answering: where the answer stands, how it is normalised, and token F1."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewards.rules.qa import compute_score, normalise, token_f1
from rewards.rules.words import LONGEST, words


@pytest.mark.parametrize(
    ("response", "truth"),
    [
        ("Paris", "Paris"),
        ("the answer is Paris.", "paris"),
        ("Answer: **Paris**", "Paris"),
        ("Let me think.\nParis", "Paris"),
        ("<answer>The Eiffel Tower</answer>", ["Eiffel tower"]),
        ("<answer>Rome</answer> no: <answer> Paris </answer>", "Paris"),
        ("Tour Eiffel", ["Eiffel Tower", "Tour Eiffel"]),
        ("U.S.A.", "USA"),
        ("Ｐａｒｉｓ", "Paris"),
        ("42", 42),
        ("The", "the"),
        ("答案是巴黎。", "巴黎"),
        ("<answer>Paris</answer>", {"target": ["Paris", "Lutetia"]}),
        ("Lutetia", '["Paris", "Lutetia"]'),  # as prepared data holds it
        ("[1, 2", "[1, 2"),
    ],
)
def test_an_answer_that_a_reference_spells_scores_one(response: str, truth: Any) -> None:
    assert compute_score("qa", response, truth) == {"score": 1.0, "exact": 1.0, "f1": 1.0}


@pytest.mark.parametrize("response", ["", "Rome", "It is in Paris", "<answer></answer>", "..."])
def test_other_answers_are_no_exact_match(response: str) -> None:
    assert compute_score("qa", response, "Paris")["score"] == 0.0


def test_f1_gives_credit_for_shared_words_of_the_best_reference() -> None:
    scores = compute_score("qa", "It is in Paris", ["Rome", "Paris"], metric="f1")
    assert scores == {"score": pytest.approx(0.4), "exact": 0.0, "f1": pytest.approx(0.4)}
    assert token_f1("猫在家", "猫") == 0.5  # a wide character is a word
    assert token_f1("cat cat cat", "cat") == 0.5  # saying it again earns nothing


def test_a_tag_that_is_asked_for_is_the_only_place_of_an_answer() -> None:
    assert compute_score("searchR1_nq", "Paris", "Paris", tag="answer")["score"] == 0.0
    tagged = "I looked it up. <answer>Paris</answer>"
    assert compute_score("searchR1_nq", tagged, "Paris", tag="answer")["score"] == 1.0


@pytest.mark.parametrize("truth", [[], {}, {"target": []}, None])
def test_a_row_without_a_reference_is_the_datas_fault(truth: Any) -> None:
    with pytest.raises(ValueError, match="ground_truth"):
        compute_score("qa", "Paris", truth)


@given(st.text(), st.text())
@settings(deadline=None)
def test_scores_stay_in_their_range_and_f1_is_symmetric(a: str, b: str) -> None:
    scores = compute_score("qa", a, b)
    assert scores.keys() == {"score", "exact", "f1"} and scores["exact"] <= scores["f1"]
    assert all(math.isfinite(value) and 0 <= value <= 1 for value in scores.values())
    assert token_f1(a, b) == token_f1(b, a)


@given(st.text())
@settings(deadline=None)
def test_an_answer_is_its_own_exact_match(text: str) -> None:
    tagged = f"<answer>{text}</answer>".replace("</answer></answer>", "</answer>")
    expected = bool(normalise(text)) and "answer>" not in text
    assert not expected or compute_score("qa", tagged, text)["score"] == 1.0


def test_words_are_short_and_wide_characters_are_words() -> None:
    assert words("The cat's 2 hats: 猫狗!") == ["The", "cat's", "2", "hats", "猫", "狗"]
    assert words("a" * 3 * LONGEST) == ["a" * LONGEST] * 3
