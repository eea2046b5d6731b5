"""Multiple choice: how a choice is spelled, and what is none."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewards.rules.choice import compute_score

CITIES = {"choices": ["Rome", "Paris", "A dog", "both A and B"]}
CHOSEN = [
    *("The answer is (B)", "The answer is B.", "The answer is **B**.", "The answer is: B. Paris"),
    *("The answer is B) Paris", "The answer is I believe B", "The correct option is B"),
    *("The best answer is option B.", "the answer is \\text{B}", "So the answer is\n\n(B)"),
    *("Answer: B", "Answer: \\(B\\)", "answer: (b)", r"\boxed{B}", r"$\boxed{\text{B}}$", "**B**"),
    *(r"\boxed{\textbf{(B)}}", r"first \boxed{A}, no: \boxed{B}", "<answer>\nB\n</answer>", "B"),
    *(r"The final answer is $\boxed{B}$. I hope it is correct.", "**(B) Paris**", "**B. Paris**"),
    *("B.", "(b)", "Both grow.\n\nB", "A. Rome\nB. Paris\nC. Oslo\n\nB", "I think it is B"),
    *("B is the answer.", "答案是B。", "故选B", "不选A，选B", "答案不是A，而是B。"),
    # each option is looked at, and announces nothing
    *("Let me examine every option:\nA) cold\nB) warm\nC) hot\n\nB", "My final choice: B"),
    *("For each option:\n**A.** wrong\n**B.** right\n**C.** wrong\n\nTherefore B.",),
    *("One possible answer is A.\n\nHowever, it must be B.", "Answer choices:\nA. x\nB. y\n\nB"),
    # what is turned down neither counts nor spoils
    *("The answer is B, not A", "The answer is not A. It is B.", "The answer is not A but B"),
    *("The correct answer isn't A; it's B.", "The answer is B because A, C and D are wrong."),
    *("The answer is B. A fails, C fails.", "Answer: B (A and C contradict the passage)"),
    *("C is wrong, A is wrong, so B.", "Not A, not C, so it's B.", "I reject A and choose B."),
    *("The answer is A? No, it is B.", "There is no doubt: B", "The answer is none other than B."),
    *("The answer is A... no wait, B.", "B, since A does not fit and C is too cold."),
    # a small letter where one is announced
    *("<answer>b</answer>", r"\boxed{(b)}", "Answer: b.", "the answer is b because it floats", "b"),
    *("b)", "The answer is “B”", "The answer is `B`.", "I choose b", "<answer>Option b</answer>"),
    # a sentence settles on it
    *(
        "So I will go with B.",
        "This leaves only B.",
        "Hence, the right option would be B.",
        "B it is.",
    ),
    *("The answer has to be (B).", "It must be B, then.", "B is correct.\n\nIt grows in spring."),
    *("If you choose A, you lose. I choose B.", "Some would pick A, but the answer is B."),
    *(
        "After all that was said, the statement that fits is B.",
        "The answer is A\n\nSorry, it is B.",
    ),
    # behind a label stands an option's text
    *("(B) both A and C", "The answer is (B) both A and C.", "The answer is (B) is not a metal."),
    *("Answer: B: False", "B) Fails to grow", "B\n\nBecause A is too small and C too big."),
]
NOT_CHOSEN = [
    *("", "A dog is an animal.", "The answer is a dog", "The answer is unknown", "A or B", "A B"),
    *("The answer is A or B", "The answer is A, B", "A. Rome\nB. Paris\nC. Oslo\nD. Bern", "AB"),
    *("I do not know.", "Because of that", r"\boxed{A} or \boxed{B}", r"\boxed{A}, \boxed{B}"),
    *("A is right. \\boxed{}", "The answer is A. \\boxed{B", "Both A and B.", "Either A or C."),
    *(
        "The answer is not B.",
        "Option B is incorrect.",
        "B does not fit",
        "Neither B nor C",
        "Not B",
    ),
    *("The answer can't be B", "I would rule out B", "I do not choose B.", "Anything but B"),
    *(
        "Answer: B\n\nWait, B is wrong. The answer is not B.",
        "The wrong answer is B.",
        "**B** is wrong",
    ),
    *("Checking each option:\n(A) no\n(B) no", "Answer:\nA. x\nB. y", "I am torn between A and B."),
    *("Vitamin B is important.", "The answer is hepatitis B", "Plan B failed.", "Choose one."),
    *("<answer>A or B</answer>", "<answer>not B</answer>", "The answer is B. <answer></answer>"),
    *("<think>The answer is B", "<think>\\boxed{B}</think> I give up.", "The answer is B?"),
]


@pytest.mark.parametrize("response", CHOSEN)
def test_a_choice_is_read_in_any_spelling(response: str) -> None:
    assert compute_score("m", response, "B") == {"score": 1.0, "answered": 1.0}
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


NUMBERED = {"choices": {"text": ["oak", "elm", "fir"], "label": ["1", "2", "3"]}}
LATER = {"choices": {"text": ["oak", "elm", "fir"], "label": ["E", "F", "G"]}}
MANY = {"choices": [f"tree {letter * 2}" for letter in "abcdefghijklmn"]}


@pytest.mark.parametrize(
    ("response", "truth", "row", "score"),
    [
        # labels first, then an index from 0
        *[(said, "2", NUMBERED, 1.0) for said in ("2", "(2)", "The answer is 2.", "B", "elm")],
        *[(said, "2", NUMBERED, 0.0) for said in ("C", "fir", "There are 2 trees.", "not 2")],
        *[(said, "F", LATER, 1.0) for said in ("F", "The answer is F.", "elm", r"\boxed{f}")],
        *[(said, "F", LATER, 0.0) for said in ("B", "The answer is E.")],
        *[(said, 11, MANY, 1.0) for said in ("L", "The answer is (L).", "tree ll")],
        *[("The answer is B", truth, LATER | {"choices": ["x", "y"]}, 1.0) for truth in (1, 1.0)],
        # every layout of options
        (
            "elm",
            "B",
            {"choices": [{"label": "A", "text": "oak"}, {"label": "B", "text": "elm"}]},
            1.0,
        ),
        ("elm", "B", {"options": {"A": "oak", "B": "elm", "C": None}}, 1.0),
        ("elm", "", {"options": ["A) oak", "B) elm"], "answerKey": "B"}, 1.0),
        ("elm", "B", {"choices": np.array(["oak", "elm"])}, 1.0),
        ("elm", "B", {"choices": '{"text": ["oak", "elm"], "label": ["A", "B"]}'}, 1.0),
        # a reference as an answer
        *[("B", truth, {"options": ["oak", "elm"]}, 1.0) for truth in ("B. elm", "(B) elm", "elm")],
        *[("B", truth, None, 1.0) for truth in (r"\boxed{B}", "<answer>B</answer>", "B. elm")],
        ("The answer is (N)", "(N)", None, 1.0),
        # a letter beats an option's text, which keeps its sign
        *[("The answer is (A).", "A", {"choices": ["b", "a"]}, 1.0)],
        *[("The answer is a", "A", {"choices": ["b", "a"]}, 1.0)],
        *[(said, "A", {"choices": ["-4", "4", "0.4"]}, 1.0) for said in ("-4", "−4", "It is: A")],
        *[(said, "A", {"choices": ["-4", "4", "0.4"]}, 0.0) for said in ("4", "0.4", "-0.4")],
        ("$x<3$", "A", {"choices": ["x < 3", "x<3"]}, 0.0),
    ],
)
def test_options_are_found_by_label_place_and_text(
    response: str, truth: Any, row: dict[str, Any] | None, score: float
) -> None:
    assert compute_score("m", response, truth, row)["score"] == score


def test_a_number_that_is_a_text_and_another_place_is_no_reference() -> None:
    row = {"choices": ["1", "2", "3", "4"]}
    with pytest.raises(ValueError, match="write the letter"):
        compute_score("m", "B", "2", row)
    assert compute_score("m", "C", 2, row)["score"] == 1.0


@given(st.sampled_from(CHOSEN), st.sampled_from("ACDE"))
@settings(deadline=None, max_examples=100)
def test_a_thought_before_a_choice_changes_nothing(response: str, letter: str) -> None:
    for thought in (f"<think>It is {letter}.</think>", f"Answer: {letter}\n</think>\n"):
        assert compute_score("m", thought + response, "B")["score"] == 1.0


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
    text = text.replace("answer>", "b>")
    assert compute_score("m", f"{text}\n\nSo\n\\boxed{{{letter}}}", letter)["score"] == 1.0


@pytest.mark.parametrize(
    "unit",
    [
        "answer is ",
        "**A ",
        "(A",
        "A. x\n",
        r"\boxed{",
        "A ",
        "A,",
        " ",
        "not A, ",
        "choose ",
        "n't ",
    ],
)
def test_a_million_hostile_characters_are_read_in_passes_that_grow_with_them(unit: str) -> None:
    text = (unit * 1_000_000)[:1_000_000]
    assert compute_score("m", text + "\n\\boxed{B}", "B")["score"] == 1.0
