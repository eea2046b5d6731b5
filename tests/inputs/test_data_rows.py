"""Layouts that people have, one record each, and what becomes of them."""

import pytest

from verlaunch.inputs.data.messages import Dropped
from verlaunch.inputs.data.rows import MissingColumn, Row, normalise
from verlaunch.inputs.data.sources import Source

FILE = Source("a.json")


def row(record: object, source: Source = FILE) -> Row:
    return normalise(record, source, "a.json:1")


def user(text: str) -> tuple[dict[str, str], ...]:
    return ({"role": "user", "content": text},)


def test_own_format_passes() -> None:
    record = {"prompt": "2+3?", "ground_truth": "5", "data_source": "math_reasoning", "level": 1}
    assert row(record) == Row(user("2+3?"), "5", "math_reasoning", extra={"level": 1})


def test_verl_layout_passes_unchanged() -> None:
    record = {
        "data_source": "openai/gsm8k",
        "prompt": [{"role": "user", "content": "2+3?"}],
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": "5"},
        "extra_info": {"index": 7, "split": "train", "answer": "2+3=5 #### 5"},
    }
    extra = {"index": 7, "split": "train", "answer": "2+3=5 #### 5"}
    assert row(record) == Row(user("2+3?"), "5", "openai/gsm8k", ability="math", extra=extra)


@pytest.mark.parametrize(
    "record",
    [
        {"question": "2+3?", "answer": "It is #### 5"},
        {"Problem": "2+3?", "Answer": "It is #### 5"},
        {"instruction": "2+3?", "input": "", "output": "It is #### 5"},
        {"query": "2+3?", "response": "It is #### 5"},
        {"prompt": None, "question": "2+3?", "solution": "It is #### 5"},
        {"messages": [{"role": "user", "content": "2+3?"},
                      {"role": "assistant", "content": "It is #### 5"}]},
        {"conversations": [{"from": "human", "value": "2+3?"},
                           {"from": "gpt", "value": "It is #### 5"}]},
        {"prompt": [{"role": "user", "content": [{"type": "text", "text": "2+3?"}]}],
         "target": "It is #### 5"},
    ],
)  # fmt: skip
def test_usual_names_are_found_and_answers_stay_whole(record: dict) -> None:
    found = row(record)
    assert (found.prompt, found.ground_truth) == (user("2+3?"), "It is #### 5")


def test_instruction_takes_its_input_along() -> None:
    found = row({"instruction": "Add.", "input": "2 and 3", "output": "5"})
    assert found.prompt == user("Add.\n\n2 and 3")
    assert found.extra == {}


def test_column_map_reaches_nested_columns() -> None:
    source = Source("a.json", input="body.text", output="meta.result")
    found = row({"body": {"text": "2+3?"}, "meta": {"result": 5}, "prompt": "not this"}, source)
    assert (found.prompt, found.ground_truth) == (user("2+3?"), "5")


def test_label_of_the_map_is_a_column_if_there_is_one_else_a_label() -> None:
    record = {"prompt": "2+3?", "subject": "sums", "data_source": "own"}
    assert row(record, Source("a.json", data_source="subject")).data_source == "sums"
    assert row(record, Source("a.json", data_source="math_reasoning")).data_source == (
        "math_reasoning"
    )
    assert row(record).data_source == "own"
    assert row({"prompt": "2+3?"}).data_source == "unlabelled"
    assert row({"prompt": "2+3?"}, Source("org/name", "hub")).data_source == "org/name"


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (42, "42"),
        (42.0, "42"),
        (0.5, "0.5"),
        (None, ""),
        (float("nan"), ""),
        (True, "true"),
        (["a", "b"], '["a", "b"]'),
    ],
)
def test_answers_become_text(answer: object, text: str) -> None:
    assert row({"prompt": "?!", "answer": answer}).ground_truth == text


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ("just text", "not an object"),
        ({"prompt": 3}, "is a number"),
        ({"prompt": "   "}, "empty prompt"),
        ({"prompt": None}, "empty prompt"),
        ({"prompt": []}, "empty prompt"),
        ({"prompt": [{"role": "assistant", "content": "hello"}]}, "empty prompt"),
        ({"prompt": [{"role": "system", "content": "be kind"}]}, "empty prompt"),
        ({"prompt": [{"content": "no role"}]}, "{role, content}"),
        ({"prompt": ["text"]}, "{role, content}"),
        ({"prompt": "what is this? <image>", "images": [b"png"]}, "text only"),
        ({"prompt": [{"role": "user", "content": [{"type": "image"}]}]}, "text only"),
    ],
)
def test_unusable_rows_say_why(record: object, reason: str) -> None:
    with pytest.raises(Dropped, match=reason):
        row(record)


def test_missing_column_lists_what_is_there_and_the_flag() -> None:
    with pytest.raises(MissingColumn, match=r"a.json:1.*'ask'.*title, body.*--prompt_key"):
        row({"title": "x", "body": "y"}, Source("a.json", input="ask"))
    with pytest.raises(MissingColumn, match=r"'result'.*prompt, answer.*--answer_key"):
        row({"prompt": "x", "answer": "y"}, Source("a.json", output="result"))
    with pytest.raises(MissingColumn, match="looks like a prompt"):
        row({"title": "x"})
