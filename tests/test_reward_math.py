"""The rule for math_reasoning: how answers are spelled, and that nothing breaks or slows it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewards.rules.math_reasoning import compute_score, extract_answer, same_answer

RIGHT = [
    ("#### 42", "42"),
    ("6 * 7 = 42\n#### 42.", "42"),
    ("####\n42", "42"),
    ("#### $1,234.50", "1234.5"),
    ("#### 18 dollars", "$18"),
    (r"\boxed{42}", "42"),
    (r"\boxed{\boxed{42}}", "42"),
    (r"first \boxed{7}, no: \boxed{42}", "42"),
    (r"\boxed{42\text{ cm}}", "42"),
    (r"\boxed{5{,}000}", "5000"),
    (r"\boxed{50\%}", "50"),
    (r"\boxed{\frac{1}{2}}", "0.5"),
    (r"\boxed{-\dfrac{3}{4}}", "-0.75"),
    (r"\boxed{2\frac{1}{2}}", "2.5"),
    (r"\frac12", "1/2"),
    (r"\boxed{1.5 \times 10^{3}}", "1500"),
    (r"\boxed{(1, 2)}", "(1,2)"),
    (r"\boxed{\sqrt{2}}", r"\sqrt{2}"),
    (r"\boxed{x+1}", "x + 1"),
    (r"\boxed{42}. I hope the answer is correct.", "42"),
    ("The answer is 42.", "42"),
    ("The answer is $72$.", "72"),
    ("The answer is **42**.", "42"),
    ("The answer is 42 apples.", "42"),
    ("The answer is 6*7 = 42.", "42"),
    ("The answer is 1,234,567 people", "1234567"),
    ("The answer is:\n\\[\n42\n\\]", "42"),
    ("The final answer is approx. 3.14.", "3.14"),
    ("#### 7\nNo, the answer is 42.", "42"),
    ("answer: 42", "42"),
    ("**Answer:** 42", "42"),
    ("Answer: 3/4 cup", "0.75"),
    ("答案是42。", "42"),
    ("<answer>42</answer>", "42"),
    ("42", "42"),
    ("42.0", "42"),
    ("42", "the total\n#### 42"),
    ("there were 7\nnow there are 42", "42"),
    ("So she has <<6*7=42>>42 eggs.", "42"),
    ("x = 42", "42"),
    ("42 km/h", "42"),
    ("50%", "50"),
    ("1.5e3", "1500"),
    ("1.5×10^3", "1500"),
    ("-5", "\u22125"),
    ("-$5", "-5"),
    (".5", "1/2"),
    ("４２", "42"),
    ("yes", "Yes."),
]
WRONG = [
    ("", "42"),
    ("I do not know", "42"),
    ("#### 41", "42"),
    ("42\n#### 41", "42"),
    ("-42", "42"),
    ("1/2", "1/3"),
    ("0.33", "1/3"),
    ("1", "1,2,3"),
    ("5", "5^2"),
    (r"\boxed{2}", r"\sqrt{2}"),
    (r"\boxed{1}", "x^2+1"),
    (r"\boxed{}", "42"),
    ("#### ", "42"),
    ("1/0", "42"),
    ("", ""),
    ("anything", ""),
]


@pytest.mark.parametrize(("response", "truth"), RIGHT)
def test_right_answer_in_any_spelling_scores_one(response: str, truth: str) -> None:
    assert compute_score("m", response, truth) == {"score": 1.0, "answered": 1.0}


@pytest.mark.parametrize(("response", "truth"), WRONG)
def test_wrong_answer_scores_zero(response: str, truth: str) -> None:
    assert compute_score("m", response, truth)["score"] == 0.0


def test_answered_tells_a_wrong_answer_from_none() -> None:
    assert compute_score("m", "#### 41", "42")["answered"] == 1.0
    assert compute_score("m", "I do not know", "42")["answered"] == 0.0


def test_strict_wants_a_marker() -> None:
    assert compute_score("m", "#### 42", "42", method="strict")["score"] == 1.0
    assert compute_score("m", "so 42", "42", method="strict") == {"score": 0.0, "answered": 0.0}


def test_extracted_answer_keeps_its_spelling() -> None:
    assert extract_answer("so #### $1,234 in all") == "1,234"
    assert extract_answer(r"\boxed{\frac{1}{2}}") == "1/2"
    assert extract_answer("no idea") is None


def test_no_answer_is_like_no_other() -> None:
    assert not same_answer(None, "42") and not same_answer(None, None) and not same_answer("", "")


@given(st.text(), st.text())
@settings(deadline=None)
def test_no_text_makes_it_raise(response: str, truth: str) -> None:
    assert compute_score("m", response, truth).keys() == {"score", "answered"}


# pieces that steer the parser, in any order, reach further than random letters do
PIECES = (
    *("####", r"\boxed{", "}", "{", "answer is", "answer:", "答案是", "\n", " ", "x", "½"),
    *("1", "9,", "0", ".", "/", "-", "e9", r"\frac", "{1}", r"\times", "10^", "=", "$", "%", "<<"),
)
SHREDS = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)


@given(SHREDS, SHREDS)
@settings(deadline=None, max_examples=500)
def test_no_mixture_of_markers_makes_it_raise(response: str, truth: str) -> None:
    scored = compute_score("m", response, truth)
    assert scored.keys() == {"score", "answered"} and scored["score"] <= scored["answered"]


@given(st.text() | SHREDS, st.integers(-(10**12), 10**12))
@settings(deadline=None, max_examples=300)
def test_the_right_answer_behind_a_marker_at_the_end_always_scores_one(text: str, n: int) -> None:
    for ending in (f"\n#### {n}", f"\n\\boxed{{{n:,}}}", f"\nThe answer is {n}."):
        assert compute_score("m", text + ending, str(n))["score"] == 1.0


@given(st.fractions(max_denominator=10**6), st.fractions(max_denominator=10**6))
@settings(deadline=None)
def test_fractions_are_the_same_when_their_values_are(a, b) -> None:
    left, right = (f"{q.numerator}/{q.denominator}" for q in (a, b))
    assert same_answer(left, right) == (a == b)


HOSTILE = (
    *("#### ", "####\n", "#### \\boxed{ answer: \n", r"\boxed{", "answer is ", "answer" + " " * 50),
    *("9", "9,", "1,234,", "1.", "1/", "-", "{", "<<", "<a", r"\frac{1", r"\text{", "\n", " "),
)


@pytest.mark.parametrize("unit", HOSTILE)
def test_200_kb_of_hostile_text_is_read_in_passes_that_grow_with_it(unit: str) -> None:
    # a quadratic pass takes minutes here; the suite's own limit would tell
    text = (unit * 200_000)[:200_000]
    for response in (text, "answer is " + text, r"\boxed{" + text):
        compute_score("m", response, "42")
    assert compute_score("m", text + "\n#### 42", "42")["score"] == 1.0
