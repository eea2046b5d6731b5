"""What a response says in the end, for every rule that reads one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.rules.said import Said, said, without_tags

PLAIN = st.text(alphabet="ab 12\n{}.", max_size=40)

CASES = [
    ("So it is 6.", "So it is 6."),
    ("<think>5?</think> 6", " 6"),
    ("5, as the template opened it</think> 6", " 6"),
    ("<think>a</think> 5 <think>b</think> 6", " 6"),
    ("<think>a <think>b</think> 6", " 6"),
    ("<THINK>5</THINK>6", "6"),
    ("<thinking>5</thinking>6", "6"),
    ("[THINK]5[/THINK]6", "6"),
    ("<think>and the answer is 6", ""),
    ("6 <think>or rather", ""),
    ("<think>all of it</think>", ""),
    ("", ""),
]
TAGGED = [
    ("<answer>6</answer>", "6"),
    ("It is 5. <answer>6</answer> No, 7.", "6"),
    ("<answer>5</answer> <answer>6</answer>", "6"),
    ("<answer><answer>6</answer></answer>", "6"),
    ("<think><answer>5</answer></think><answer>6</answer>", "6"),
    ("<think>hm</think><answer>\n6\n", "\n6\n"),
    ("<answer>5</answer><answer></answer>", ""),
    ("<Answer>6</ANSWER>", "6"),
]


@pytest.mark.parametrize(("response", "text"), CASES)
def test_what_was_only_thought_is_not_said(response: str, text: str) -> None:
    assert said(response) == Said(text, False)


@pytest.mark.parametrize(("response", "text"), TAGGED)
def test_only_the_last_answer_tag_counts(response: str, text: str) -> None:
    assert said(response) == Said(text, True)


@pytest.mark.parametrize("response", ["<think><answer>5</answer></think> none", "5</answer> none"])
def test_an_answer_tag_that_is_no_more_than_thought_or_never_opened_is_none(response: str) -> None:
    assert not said(response).tagged


@given(PLAIN, PLAIN)
def test_no_thought_changes_what_is_said(thought: str, rest: str) -> None:
    assert said(f"<think>{thought}</think>{rest}") == said(f"{thought}</think>{rest}") == said(rest)


@given(PLAIN, PLAIN)
def test_a_thought_that_never_ends_says_nothing(before: str, thought: str) -> None:
    assert said(f"{before}<think>{thought}").text == ""


@given(st.text() | st.lists(st.sampled_from("<>/[]thinkanswer "), max_size=60).map("".join))
def test_what_is_said_is_a_part_of_the_response(text: str) -> None:
    assert said(text).text in text


def test_a_tag_is_a_gap() -> None:
    assert without_tags("30</b>35<br/>40 < 50") == "30 35 40 < 50"


@pytest.mark.parametrize("unit", ["<", "</think", "<think>", "</think>", "<answer>", "</answer>"])
def test_a_million_characters_are_read_in_one_pass(unit: str) -> None:
    text = (unit * 1_000_000)[:1_000_000]
    assert len(said(text).text) <= len(text) >= len(without_tags(text)) > 0
