"""Multiple choice: how a choice is spelled, and what is none."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewards.rules.choice import compute_score

CITIES = {"choices": ["Rome", "Paris", "A dog", "both A and B"]}
CHOSEN = [
    ("The answer is (B)", "B"),
    ("The answer is B.", "B"),
    ("The answer is **B**.", "B"),
    ("The answer is: B. Paris", "B"),
    ("The answer is B) Paris", "B"),
    ("The answer is B, not A", "B"),
    ("The answer is A because it grows", "A"),
    ("The answer is I believe B", "B"),
    ("The correct option is B", "B"),
    ("The best answer is option B.", "B"),
    ("the answer is \\text{B}", "B"),
    ("So the answer is\n\n(B)", "B"),
    ("Answer: B", "B"),
    ("Answer: \\(B\\)", "B"),
    ("answer: (b)", "B"),
    (r"\boxed{B}", "B"),
    (r"$\boxed{\text{B}}$", "B"),
    (r"\boxed{\textbf{(B)}}", "B"),
    (r"first \boxed{A}, no: \boxed{B}", "B"),
    (r"The final answer is $\boxed{B}$. I hope it is correct.", "B"),
    ("<answer>B</answer>", "B"),
    ("<answer>\nB\n</answer>", "B"),
    ("**B**", "B"),
    ("**(B) Paris**", "B"),
    ("**B. Paris**", "B"),
    ("B", "B"),
    ("B.", "B"),
    ("(b)", "B"),
    ("Both grow.\n\nB", "B"),
    ("A. Rome\nB. Paris\nC. Oslo\n\nB", "B"),
    ("I think it is B", "B"),
    ("B is the answer.", "B"),
    ("答案是B。", "B"),
    ("故选B", "B"),
]
NOT_CHOSEN = [
    "",
    "A dog is an animal.",
    "The answer is a dog",
    "The answer is unknown",
    "A or B",
    "The answer is A or B",
    "The answer is A, B",
    "A. Rome\nB. Paris\nC. Oslo\nD. Bern",
    "b",
    "I do not know.",
    "Because of that",
]


@pytest.mark.parametrize(("response", "letter"), CHOSEN)
def test_a_choice_is_read_in_any_spelling(response: str, letter: str) -> None:
    assert compute_score("m", response, letter) == {"score": 1.0, "answered": 1.0}
    assert compute_score("m", response, "J") == {"score": 0.0, "answered": 1.0}


@pytest.mark.parametrize("response", NOT_CHOSEN)
def test_articles_lists_and_several_letters_are_no_choice(response: str) -> None:
    for letter in "ABCDI":
        assert compute_score("m", response, letter) == {"score": 0.0, "answered": 0.0}


@pytest.mark.parametrize("truth", ["B", "b", "(B)", " B. ", 1, "1", "Paris", "paris"])
def test_ground_truth_is_a_letter_an_index_or_a_text(truth: Any) -> None:
    assert compute_score("m", "The answer is B.", truth, CITIES)["score"] == 1.0
    assert compute_score("m", "The answer is A.", truth, CITIES)["score"] == 0.0


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("Paris", "B"),
        ("The answer is Paris.", "B"),
        (r"\boxed{Paris}", "B"),
        ("a dog", "C"),
        ("The answer is A dog", "C"),
        ("The answer is both A and B", "D"),
        ("So:\nRome.", "A"),
    ],
)
def test_the_text_of_an_option_is_a_choice_where_the_row_has_them(
    response: str, letter: str
) -> None:
    assert compute_score("m", response, letter, CITIES)["score"] == 1.0
    labelled = {"choices": {"text": CITIES["choices"], "label": list("ABCD")}}
    assert compute_score("m", response, letter, labelled)["score"] == 1.0


@pytest.mark.parametrize("truth", ["", "K", "Berlin", "11", None])
def test_a_ground_truth_that_names_no_option_is_the_datas_fault(truth: Any) -> None:
    with pytest.raises(ValueError, match="ground_truth"):
        compute_score("m", "The answer is B.", truth, CITIES)


PIECES = (
    *("answer is ", "Answer:", r"\boxed{", "}", "<answer>", "</answer>", "**", "(", ")", ".", " "),
    *("A", "B", "I", "a", "or", ",", "\n", "选", "$", r"\text{", "Paris"),
)
SHREDS = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)


@given(st.text() | SHREDS)
@settings(deadline=None, max_examples=300)
def test_no_text_makes_it_raise_or_leave_its_range(response: str) -> None:
    scores = compute_score("m", response, "B", CITIES)
    assert scores.keys() == {"score", "answered"} and scores["score"] <= scores["answered"]
    assert all(math.isfinite(value) and 0 <= value <= 1 for value in scores.values())


@given(SHREDS, st.sampled_from("ABCDEFGHIJ"))
@settings(deadline=None, max_examples=200)
def test_the_last_boxed_letter_wins(text: str, letter: str) -> None:
    assert compute_score("m", f"{text}\n\\boxed{{{letter}}}", letter)["score"] == 1.0


@pytest.mark.parametrize(
    "unit", ["answer is ", "**A ", "(A", "A. x\n", r"\boxed{", "A ", "A,", " "]
)
def test_200_kb_of_hostile_text_is_read_in_passes_that_grow_with_it(unit: str) -> None:
    text = (unit * 200_000)[:200_000]
    assert compute_score("m", text + "\n\\boxed{B}", "B")["score"] == 1.0
