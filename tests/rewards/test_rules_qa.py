"""Question answering: where the answer stands, how it is normalised, and token F1."""

import math
import re
import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewards.rules.qa import compute_score
from rewards.rules.texts import normalise, same, token_f1
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
        *[
            ("~40 km", "40 km"),
            ("40", "~40"),
            ("$40", "40"),
            ("!?", "!?"),
            ("The answer is %.", "%"),
        ],
        *[(r"\boxed{Rome}", "Rome"), (r"It is $\boxed{\text{New\ York}}$.", "New York")],
        *[(r"<answer>\boxed{Rome}</answer>", "Rome"), ("<answer>**Rome**</answer>", "Rome")],
        *[("<think>It is Pisa.</think> Rome", "Rome"), ("Pisa, perhaps</think>\nRome", "Rome")],
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
    assert token_f1("uncharacteristically", "uncharacteristic") == 0.0  # words are whole


def test_a_tag_that_is_asked_for_is_the_only_place_of_an_answer() -> None:
    assert compute_score("searchR1_nq", "Paris", "Paris", tag="answer")["score"] == 0.0
    tagged = "I looked it up. <answer>Paris</answer>"
    assert compute_score("searchR1_nq", tagged, "Paris", tag="answer")["score"] == 1.0


@pytest.mark.parametrize("truth", [[], {}, {"target": []}, None])
def test_a_row_without_a_reference_is_the_datas_fault(truth: Any) -> None:
    with pytest.raises(ValueError, match="ground_truth"):
        compute_score("qa", "Paris", truth)


@pytest.mark.parametrize(
    "response",
    [
        *(
            "<think>Paris",
            "<think><answer>Paris</answer></think> Rome",
            r"\boxed{}",
            r"\boxed{Paris",
        ),
        *(r"Paris \boxed{}", r"\boxed{Rome} or \boxed{Paris}", r"\boxed{Paris}, \boxed{Rome}"),
        *("The answer is Rome or Paris", "Paris <answer>Rome</answer>", "The answer is not Paris"),
    ],
)
def test_thoughts_open_boxes_and_several_candidates_are_no_exact_match(response: str) -> None:
    assert compute_score("qa", response, "Paris")["exact"] == 0.0


SAME_NUMBERS = [
    *[
        ("3.50", "3.5"),
        ("$1,200.0", "1200"),
        ("−4", "-4"),
        ("–4", "-4"),
        ("- 4", "-4"),
        (".5", "0.5"),
    ],
    *[("£20", "20"), ("-$5", "-5"), ("1/2", "0.5"), ("F-16", "F16"), ("1914–1918", "1914-1918")],
    *[("June 3, 1990", "June 3 1990"), ("12,00,000", "1200000"), ("50%", "50"), ("#1", "1")],
]
OTHER_NUMBERS = [
    *[("3.5", "35"), ("-3", "3"), ("2-1", "21"), ("2/1", "21"), ("10:30", "1030"), ("1,5", "15")],
    *[("1.2.3", "123"), ("3.14 million", "314 million"), ("-5 km", "5 km"), ("1.10", "1.01")],
    *[("1/0", "1"), ("3^5", "35"), ("7 - 3", "73"), ("$-5", "5"), ("T-5", "-5"), ("5%", "0.05")],
]


@pytest.mark.parametrize(("a", "b"), SAME_NUMBERS)
def test_a_number_is_one_in_any_spelling(a: str, b: str) -> None:
    assert same(a, b) and same(b, a)


@pytest.mark.parametrize(("a", "b"), OTHER_NUMBERS)
def test_a_number_keeps_its_sign_point_slash_and_colon(a: str, b: str) -> None:
    assert not same(a, b) and not same(b, a)


DECIMALS = st.decimals(-2000, 2000, places=2) | st.integers(-(10**7), 10**7)


@given(DECIMALS, DECIMALS, st.sampled_from(["{}", "${}", "{} km", "({})", "about {}."]))
@settings(deadline=None, max_examples=300)
def test_two_numbers_are_the_same_when_their_values_are(a: Any, b: Any, text: str) -> None:
    for spelled in (f"{a}", f"{a:,}", f"{a:.3f}"):
        assert same(text.format(spelled), text.format(a))
        assert same(text.format(spelled), text.format(b)) == (a == b)


def squad(text: str) -> list[str]:
    bare = "".join(sign for sign in text.lower() if sign not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", bare).split()


@given(
    st.text(string.ascii_letters + string.punctuation + " \n\t", max_size=40) | st.text(max_size=9)
)
@settings(deadline=None, max_examples=300)
def test_ascii_text_without_digits_is_normalised_as_squad_does(text: str) -> None:
    text = "".join(sign for sign in text if sign.isascii() and not sign.isdigit())
    assert not squad(text) or normalise(text).split() == squad(text)


@given(st.text(), st.text())
@settings(deadline=None)
def test_scores_stay_in_their_range_and_f1_is_symmetric(a: str, b: str) -> None:
    scores = compute_score("qa", a, b)
    assert scores.keys() == {"score", "exact", "f1"} and scores["exact"] <= scores["f1"]
    assert all(math.isfinite(value) and 0 <= value <= 1 for value in scores.values())
    assert token_f1(a, b) == token_f1(b, a)


@pytest.mark.parametrize("text", [r"0\;0", r"\text{New York}", "<b>", r"5\,000 kg"])
def test_a_reference_is_read_as_an_answer_is(text: str) -> None:
    assert compute_score("qa", f"<answer>{text}</answer>", text)["score"] == 1.0


@given(st.text())
@settings(deadline=None)
def test_an_answer_is_its_own_exact_match(text: str) -> None:
    tagged = f"<answer>{text}</answer>".replace("</answer></answer>", "</answer>")
    expected = bool(normalise(text)) and "answer>" not in text
    assert not expected or compute_score("qa", tagged, text)["score"] == 1.0


def test_words_are_short_and_wide_characters_are_words() -> None:
    assert words("The cat's 2 hats: 猫狗!") == ["The", "cat's", "2", "hats", "猫", "狗"]
    assert words("a" * 3 * LONGEST) == ["a" * LONGEST] * 3


@pytest.mark.parametrize(
    "unit", ["answer is ", r"\boxed{", "1,", "1.", "-1 ", r"\text{", "é1,234", "<a>"]
)
def test_a_million_hostile_characters_are_read_in_passes_that_grow_with_them(unit: str) -> None:
    for text in ((unit * 1_000_000)[:1_000_000], f"<answer>{unit * 100_000}</answer>"):
        assert compute_score("qa", text, "Paris")["score"] == 0.0
