"""What changes no verdict: a negation, a thought, another number, another order. By hypothesis."""

import asyncio

from hypothesis import example, given, settings
from hypothesis import strategies as st

from rewards.rules.math_reasoning import compute_score, quick_score

LOOP = asyncio.new_event_loop()
NUMBERS = st.integers(-(10**6), 10**6)
PAIRS = st.lists(NUMBERS, min_size=2, max_size=5, unique=True)
SENTENCE = "so the red hens of Ida are left in a barn, and she sells them"
WORDS = st.lists(st.sampled_from(SENTENCE.split()), max_size=12).map(" ".join)
SAYING = st.sampled_from(
    (
        "#### {}",
        r"\boxed{{{}}}",
        "The answer is {}.",
        "Answer: {}",
        "<answer>{}</answer>",
        "答案是{}。",
    )
)
DENYING = st.sampled_from(
    (
        *(
            "The answer is not {}.",
            "The answer isn't {}.",
            "The answer cannot be {}.",
            "#### not {}",
        ),
        *(
            "It is not {}",
            "The answer is never {}.",
            r"It is not \boxed{{{}}}.",
            r"$x \ne \boxed{{{}}}$",
        ),
        *("The answer is definitely not equal to {}.", "答案不是{}。"),
    )
)
BOUNDING = st.sampled_from(
    (
        *("The answer is at least {}.", "The answer is at most {}.", "The answer is less than {}."),
        *(
            "Answer: more than {}",
            r"\boxed{{\ge {}}}",
            r"\boxed{{x < {}}}",
            "The answer is up to {}.",
        ),
    )
)
LETTERS = st.sampled_from("abcdkntuvwxyz")


def score(response: str, truth: str) -> float:
    return quick_score(response, truth)["score"]


def with_algebra(response: str, truth: str) -> float:
    return LOOP.run_until_complete(compute_score("m", response, truth))["score"]


@given(NUMBERS, SAYING, WORDS)
@settings(deadline=None)
def test_a_number_is_right_in_every_form_and_behind_any_words(
    n: int, form: str, words: str
) -> None:
    assert score(f"{words}\n{form.format(n)}", str(n)) == 1.0


@given(NUMBERS, NUMBERS, SAYING, WORDS)
@settings(deadline=None)
def test_no_other_number_is_right(n: int, other: int, form: str, words: str) -> None:
    assert score(f"{words}\n{form.format(other)}", str(n)) == float(n == other)


@given(NUMBERS, NUMBERS, DENYING)
@settings(deadline=None)
def test_what_is_denied_is_no_answer(n: int, other: int, form: str) -> None:
    assert score(form.format(n), str(n)) == score(form.format(n), str(other)) == 0.0


@given(PAIRS)
@settings(deadline=None)
def test_not_one_but_another_is_the_other(pair: list[int]) -> None:
    response = f"The answer is not {pair[0]} but {pair[1]}."
    assert (score(response, str(pair[0])), score(response, str(pair[1]))) == (0.0, 1.0)


@given(NUMBERS, BOUNDING)
@settings(deadline=None)
def test_a_bound_is_no_number(n: int, form: str) -> None:
    assert score(form.format(n), str(n)) == 0.0


@given(NUMBERS, NUMBERS, SAYING, SAYING, WORDS)
@settings(deadline=None)
def test_no_thought_changes_a_verdict(
    n: int, thought: int, form: str, thinking: str, words: str
) -> None:
    said = form.format(n)
    inside = f"{words} {thinking.format(thought)}"
    for response in (f"<think>{inside}</think>\n{said}", f"{inside}</think>\n{said}"):
        for truth in (n, thought):
            assert score(response, str(truth)) == score(said, str(truth))
    for unfinished in (f"<think>{inside}", f"<think>{inside}</think>", f"{inside}</think>\nWell."):
        assert score(unfinished, str(thought)) == 0.0


@given(PAIRS, st.randoms(use_true_random=False), st.sampled_from((", ", " or ", r" \text{ and } ")))
@settings(deadline=None)
def test_a_list_is_right_in_any_order_and_no_part_of_it_is(values, rng, joined: str) -> None:
    truth = ", ".join(map(str, values))
    turned = rng.sample(values, len(values))
    assert score(rf"\boxed{{{joined.join(map(str, turned))}}}", truth) == 1.0
    assert score(rf"\boxed{{{joined.join(map(str, turned[1:]))}}}", truth) == 0.0
    assert score(rf"\boxed{{{turned[0]}}}", truth) == 0.0
    boxes = ", ".join(rf"\boxed{{{value}}}" for value in turned)
    assert score(f"The values are {boxes}.", truth) == 1.0


@given(PAIRS, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_a_point_is_right_in_its_own_order_alone(values, rng) -> None:
    turned = rng.sample(values, len(values))
    truth = f"({', '.join(map(str, values))})"
    assert score(rf"\boxed{{({','.join(map(str, turned))})}}", truth) == float(turned == values)


@given(PAIRS, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_named_values_are_right_in_any_order_under_their_names(values, rng) -> None:
    named = [f"{name} = {value}" for name, value in zip("pqrst", values, strict=False)]
    truth = ", ".join(named)
    turned = rng.sample(named, len(named))
    assert score(rf"\boxed{{{', '.join(turned)}}}", truth) == 1.0
    swapped = [f"p = {values[1]}", f"q = {values[0]}", *named[2:]]
    assert score(rf"\boxed{{{', '.join(swapped)}}}", truth) == 0.0


@given(PAIRS)
@settings(deadline=None)
def test_several_candidates_are_none_of_them(values: list[int]) -> None:
    for text in (" or ".join(map(str, values)), f"between {values[0]} and {values[1]}"):
        for value in values[:2]:
            assert score(f"The answer is {text}.", str(value)) == 0.0


@given(NUMBERS, LETTERS)
@settings(deadline=None)
def test_a_letter_at_a_number_is_no_unit(n: int, letter: str) -> None:
    for text in (f"{n}{letter}", f"{n} + {letter}", f"{letter} = {n}{letter}", f"{n}{letter}^2"):
        assert score(rf"\boxed{{{text}}}", str(n)) == 0.0
        assert score(rf"\boxed{{{n}}}", text) == 0.0


@given(st.integers(2, 40), st.integers(2, 40), st.integers(1, 99), st.integers(2, 9))
@example(7, 11, 80, 2)  # goes through a point at which both sides are compared
@settings(deadline=None, max_examples=15)
def test_a_line_is_right_scaled_and_turned_and_no_other_line_is(
    a: int, b: int, c: int, scale: int
) -> None:
    truth = f"{a}x + {b}y = {c}"
    for same in (f"{scale * a}x + {scale * b}y = {scale * c}", f"{c} - {b}y = {a}x"):
        assert with_algebra(rf"\boxed{{{same}}}", truth) == 1.0
    for other in (f"{a}x + {b}y = {c + 1}", f"{a}x - {b}y = {c}", f"{a + 1}x + {b}y = {c}", str(c)):
        assert with_algebra(rf"\boxed{{{other}}}", truth) == 0.0


@given(st.integers(2, 12), st.integers(55, 130), st.integers(-2, 2))
@settings(deadline=None, max_examples=15)
def test_powers_near_zero_are_told_apart(base: int, power: int, shift: int) -> None:
    response = rf"\boxed{{\frac{{1}}{{{base}^{{{power + shift}}}}}}}"
    assert with_algebra(response, f"{base}^{{-{power}}}") == float(shift == 0)


@given(NUMBERS, st.integers(1, 1000), st.sampled_from(("()", "[]", "(]", "[)")))
@settings(deadline=None)
def test_an_interval_is_its_inequality_and_not_its_ends(low: int, width: int, kind: str) -> None:
    high = low + width
    interval = f"{kind[0]}{low}, {high}{kind[1]}"
    signs = ("<" if kind[0] == "(" else r"\le", "<" if kind[1] == ")" else r"\le")
    inequality = f"{low} {signs[0]} x {signs[1]} {high}"
    assert score(rf"\boxed{{{inequality}}}", interval) == 1.0
    assert score(rf"\boxed{{{interval}}}", inequality) == 1.0
    for ends in (f"{low}, {high}", rf"\{{{low}, {high}\}}", str(low), str(high)):
        assert score(rf"\boxed{{{ends}}}", interval) == score(rf"\boxed{{{interval}}}", ends) == 0.0
