"""Which rows ./train.sh score takes, and which answers it makes of them."""

import json
from collections.abc import Iterator
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.part import Row
from verlaunch.errors import UserError
from verlaunch.inputs.data.build import Settings
from verlaunch.inputs.data.prepare import prepare
from verlaunch.inputs.data.sources import sources
from verlaunch.plan.reward.trial.answers import JUNK, answers_to, reference_of
from verlaunch.plan.reward.trial.few import few
from verlaunch.plan.reward.trial.rows import first_rows, prepared_rows, rows_of
from verlaunch.tools.score.responses import NO_LABEL, read_responses


def jsonl(path: Path, *rows: Any) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@given(
    st.dictionaries(st.text(max_size=3), st.lists(st.integers(), min_size=1), max_size=6),
    st.integers(1, 40),
    st.none() | st.integers(0, 3),
)
def test_picks_are_of_every_group_in_order_and_as_many_as_asked(
    groups: dict[str, list[int]], count: int, seed: int | None
) -> None:
    numbered = [(name, at) for name, items in groups.items() for at in range(len(items))]
    picked = few(numbered, count, seed, label=itemgetter(0))
    assert len(picked) == len(set(picked))
    assert picked == few(numbered, count, seed, label=itemgetter(0))
    assert {name for name, _ in picked} == set(groups)
    in_all = sum(map(len, groups.values()))
    assert len(picked) == max(len(groups), min(count, in_all))
    for name in groups:
        places = [at for group, at in picked if group == name]
        assert places == sorted(places)
        assert seed is not None or places == list(range(len(places)))


def test_small_groups_leave_their_share_to_the_others() -> None:
    picked = few("a" * 100 + "b" * 3 + "c" * 100, 23, seed=1, label=str)
    assert [picked.count(name) for name in "abc"] == [10, 3, 10]


def test_rows_of_the_data_are_as_in_training(tmp_path: Path) -> None:
    file = jsonl(
        tmp_path / "data.jsonl",
        {"prompt": "2+3?", "ground_truth": 5, "data_source": "math_reasoning", "level": 1},
        {"prompt": "3+3?", "ground_truth": "6", "data_source": "math_reasoning", "level": [2]},
    )
    first, second = rows_of(sources(file), 10, seed=1)
    assert first.ground_truth == "5" and first.messages[0]["content"] == "2+3?"
    assert first.extra_info is not None and second.extra_info is not None
    assert first.extra_info["split"] == "train" and second.extra_info["index"] == 1
    # a column whose rows disagree in type is JSON text in a run, and so it is here
    assert (first.extra_info["level"], second.extra_info["level"]) == ("1", "[2]")


def test_every_data_source_has_rows_wherever_they_stand(tmp_path: Path) -> None:
    many = [{"prompt": f"{n}?", "ground_truth": "1", "data_source": "math"} for n in range(300)]
    late = {"prompt": "late?", "ground_truth": "1", "data_source": "gsm8k"}
    rows = rows_of(sources(jsonl(tmp_path / "data.jsonl", *many, late)), 10, seed=1)
    assert [row.data_source for row in rows].count("gsm8k") == 1 and len(rows) == 10
    assert rows == rows_of(sources(str(tmp_path / "data.jsonl")), 10, seed=1)


def test_a_glance_stops_where_every_data_source_has_its_rows() -> None:
    def endless() -> Iterator[str]:
        yield from "ab"
        while True:
            yield "a"
            yield "b"

    assert few(endless(), 3, label=str, expected="ab") == ["a", "b", "b"]


def test_prepared_rows_are_of_every_data_source_wherever_they_begin(tmp_path: Path) -> None:
    many = [{"prompt": f"{n}?", "answer": "1", "data_source": "math"} for n in range(90)]
    late = [{"prompt": f"{n} late?", "answer": "x", "data_source": "late"} for n in range(9)]
    file = jsonl(tmp_path / "data.jsonl", *many, *late)
    made = prepare(Settings(sources(file), val_size=1), tmp_path / "cache")
    found = list(prepared_rows(made.train_file, 6))
    assert [row.data_source for row in found] == ["math"] * 3 + ["late"] * 3
    assert found[-1].ground_truth == "x"
    assert found[0].extra_info is not None and found[0].extra_info["split"] == "train"
    first = first_rows(sources(file), ["math", "late"])
    assert [row.data_source for row in first] == ["math"] * 4 + ["late"] * 4


def test_a_glance_gives_the_types_and_the_index_of_a_run(tmp_path: Path) -> None:
    math, late = {"answer": "1", "data_source": "math"}, {"answer": "x", "data_source": "late"}
    rows = [{**math, "prompt": f"{n}?", "level": n} for n in range(90)]
    own = [{"extra_info": {"index": 700 + n}, "level": 0.5} for n in range(9)]
    rows += [{**late, "prompt": f"{n} late?", **own[n]} for n in range(9)]
    file = jsonl(tmp_path / "data.jsonl", *rows)
    glance = first_rows(sources(file), ["math", "late"])
    made = prepare(Settings(sources(file), val_size=1), tmp_path / "cache")
    run = {row.messages[0]["content"]: row.extra_info for row in prepared_rows(made.train_file)}
    for row in glance:
        content = row.messages[0]["content"]
        if content not in run:  # held out
            continue
        ours, theirs = row.extra_info or {}, run[content] or {}
        assert ours.keys() == theirs.keys() and ours["split"] == "train"
        assert {name: type(value) for name, value in ours.items()} == {
            name: type(value) for name, value in theirs.items()
        }
        assert abs(ours["index"] - theirs["index"]) <= 1  # one row before it may be held out
    assert [(row.extra_info or {})["index"] for row in glance] == [0, 1, 2, 3, 700, 701, 702, 703]


def test_broken_unicode_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    file.write_text('{"prompt": "\\ud800?", "answer": "1"}\n{"prompt": "2?", "answer": "2"}\n')
    assert [row.ground_truth for row in rows_of(sources(str(file)), 5, seed=1)] == ["2"]


def test_data_without_a_usable_row_says_why(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No row of the data can be used: 1 x empty prompt"):
        rows_of(sources(jsonl(tmp_path / "data.jsonl", {"prompt": "", "answer": "1"})), 5, seed=1)
    with pytest.raises(UserError, match="--prompt_key"):
        rows_of(sources(jsonl(tmp_path / "more.jsonl", {"ask": "2+3", "answer": "1"})), 5, seed=1)


def test_a_question_has_a_reference_an_empty_and_a_junk_answer() -> None:
    answers = list(answers_to([Row("m", "ignored", "6 * 7 = 42\n#### 42")]))
    texts = {answer.kind: answer.row.response for answer in answers}
    assert texts == {"reference": "6 * 7 = 42\n#### 42", "empty": "", "junk": JUNK}


def test_responses_to_one_question_share_its_known_answers() -> None:
    rows = [Row("m", text, "42") for text in ("42", "41", "40")] + [Row("m", "7", "7")]
    answers = list(answers_to(rows, told=[None, 0.5, None, 1.0]))
    assert [answer.question for answer in answers] == [0] * 6 + [1] * 4
    assert [a.row.response for a in answers if a.kind == "responses"] == ["42", "41", "40", "7"]
    assert [a.told for a in answers if a.kind == "responses"] == [None, 0.5, None, 1.0]


TESTS = json.dumps({"inputs": ["1\n"], "outputs": ["2\n"]})


@pytest.mark.parametrize(
    ("truth", "extra", "reference"),
    [
        ("42", {}, "42"),
        ("42", {"solution": "6 * 7 = 42"}, "42"),
        ('["Paris", "Lutetia"]', {}, "Paris"),
        ("[1, 2]", {}, None),
        ("[1, 2)", {}, "[1, 2)"),
        (TESTS, {}, None),
        (TESTS, {"solution": "print(int(input()) + 1)"}, "print(int(input()) + 1)"),
        ('["assert f(1) == 2"]', {}, None),
        ("1", {"choices": ["Rome", "Paris"]}, "Paris"),
        ("1", {"choices": {"text": ["Rome", "Paris"], "label": ["A", "B"]}}, "Paris"),
        ("1", {"choices": ["2", "1"]}, "1"),
        ("7", {"choices": ["Rome", "Paris"]}, "7"),
        ("B", {"choices": ["Rome", "Paris"]}, "B"),
        ("", {}, None),
        (None, {}, None),
    ],
)
def test_the_reference_is_an_answer_and_never_a_test(
    truth: Any, extra: dict[str, Any], reference: str | None
) -> None:
    assert reference_of(Row("m", "", truth, extra)) == reference


def read(tmp_path: Path, *records: Any, label: str | None = None) -> list[Row]:
    return read_responses(jsonl(tmp_path / "r.jsonl", *records), label, 100, seed=1)[0]


def test_samples_of_a_run_are_read_as_they_are(tmp_path: Path) -> None:
    sample = {"step": 3, "prompt": "6 * 7?", "response": "42", "ground_truth": "42",
              "data_source": "math_reasoning", "score": 1.0, "rule_score": 1.0}  # fmt: skip
    failed = {**sample, "response": "41", "score": 0.5, "reward_failed": 1.0}
    file = jsonl(tmp_path / "train.jsonl", sample, failed)
    rows, told = read_responses(file, None, 10, seed=1)
    asked = ({"role": "user", "content": "6 * 7?"},)
    assert rows[0] == Row("math_reasoning", "42", "42", None, asked)
    assert told == [1.0, None]  # a failed row's score is a stand-in


def test_dumps_of_verl_and_conversations_are_read_too(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    dump, chat = read(
        tmp_path,
        {"input": "6 * 7?", "output": "42", "gts": "42", "score": 1.0},
        {"messages": turns, "reward_model": {"ground_truth": "hello"}, "extra_info": {"n": 1}},
    )
    assert (dump.response, dump.ground_truth, dump.data_source) == ("42", "42", NO_LABEL)
    assert (chat.response, chat.ground_truth, chat.extra_info) == ("hello", "hello", {"n": 1})
    assert chat.messages == ({"role": "user", "content": "hi"},)


def test_several_responses_of_one_row_are_several(tmp_path: Path) -> None:
    rows = read(tmp_path, {"prompt": "?", "responses": ["a", "b"], "ground_truth": 5})
    assert [(row.response, row.ground_truth) for row in rows] == [("a", "5"), ("b", "5")]


def test_data_source_is_a_label_or_a_column_where_a_row_has_none(tmp_path: Path) -> None:
    assert read(tmp_path, {"response": "a"}, label="qa")[0].data_source == "qa"
    assert read(tmp_path, {"response": "a", "task": "qa"}, label="task")[0].data_source == "qa"
    own = read(tmp_path, {"response": "a", "data_source": "math"}, label="qa")
    assert own[0].data_source == "math"


def test_a_file_without_responses_names_its_columns(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a column `response`"):
        read(tmp_path, {"text": "a", "score": 1}, "no object")
    with pytest.raises(UserError, match="not found"):
        read_responses(f"{tmp_path}/nowhere.jsonl", None, 5, seed=1)


def test_a_body_and_a_numbered_option_are_whole_references() -> None:
    asked = [{"role": "user", "content": "def twice(n):\n    # two of them\n"}]
    row = Row("code", "", '["assert twice(2) == 4"]', {"canonical_solution": "    return 2 * n"})
    assert reference_of(replace(row, messages=asked)) == (
        "def twice(n):\n    # two of them\n    return 2 * n"
    )
    labelled = {"choices": {"text": ["oak", "elm", "fir"], "label": ["1", "2", "3"]}}
    assert reference_of(Row("multiple_choice", "", "2", labelled)) == "elm"
    assert (
        reference_of(Row("multiple_choice", "", "2", {"options": ["oak", "elm", "fir"]})) == "fir"
    )


def test_responses_take_columns_that_a_rule_reads_along(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    beside = {"choices": ["iron", "cork"], "json_schema": {"type": "object"}, "tests": ["assert 1"]}
    row = {
        "response": "B",
        "ground_truth": 1,
        **beside,
        "note": "x",
        "extra_info": {"tests": "own"},
    }
    file.write_text(json.dumps(row) + "\n" + json.dumps({"response": "B"}))
    (first, second), _ = read_responses(str(file), None, 10, 1)
    assert first.extra_info == {**beside, "tests": "own"}
    assert second.extra_info is None
