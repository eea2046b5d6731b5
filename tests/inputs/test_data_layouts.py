"""Every layout of layouts.yaml: what the model is asked, what counts as the answer, what is not
shown. docs/layouts.md is written from the same lines."""

import json
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from rewards.rules.choice import compute_score
from verlaunch.inputs.data.layout import encode
from verlaunch.inputs.data.messages import Dropped
from verlaunch.inputs.data.rows import MissingColumn, Row, normalise, told_unseen
from verlaunch.inputs.data.sources import Source

TABLE = Path(__file__).with_name("layouts.yaml")


def row(record: Any, source: Source | None = None) -> Row:
    return normalise(record, source or Source("a.json"), "a.json:1")


def lines() -> Iterator[Any]:
    for group, found in yaml.safe_load(TABLE.read_text(encoding="utf-8")).items():
        yield from (pytest.param(line, id=f"{group}: {line['layout']}") for line in found)


@pytest.mark.parametrize("line", lines())
def test_a_layout_is_read_as_the_page_says(line: dict[str, Any]) -> None:
    if "drops" in line:
        with pytest.raises(Dropped) as caught:
            row(line["row"])
        assert str(caught.value) == line["drops"]
        return
    found = row(line["row"])
    asks = [f"user: {line['asks']}"] if isinstance(line["asks"], str) else line["asks"]
    assert [f"{message['role']}: {message['content']}" for message in found.prompt] == asks
    assert found.ground_truth == line["answer"]
    assert list(found.unseen) == line.get("unseen", [])
    if "choices" in found.extra:
        right = f"\\boxed{{{line['answer'] if line['answer'].isalpha() else 'B'}}}"
        said = compute_score("multiple_choice", right, found.ground_truth, found.extra)
        assert said["score"] == 1.0


@pytest.mark.parametrize("column", ["choices", "system", "context", "input", "history"])
def test_rows_that_differ_only_in_what_belongs_to_the_prompt_are_no_duplicates(column: str) -> None:
    values = {
        "choices": (["a", "b"], ["c", "d"]),
        "history": ([["Hi", "Yes"]], [["Hi", "No"]]),
    }.get(column, ("one", "two"))
    digests = {encode(row({"question": "Which?", column: value}))[0] for value in values}
    assert len(digests) == 2


def test_the_prompt_of_verls_layout_is_complete() -> None:
    found = row({"prompt": [{"role": "user", "content": "Which?"}], "choices": ["a", "b"],
                 "system": "Be brief.", "reward_model": {"ground_truth": "A"}})  # fmt: skip
    assert found.prompt == ({"role": "user", "content": "Which?"},)
    assert found.unseen == ("choices", "system")


def test_letters_that_are_no_options_stay_columns() -> None:
    for record in ({"a": "1", "b": "2"}, {"A": 1, "B": 2, "C": 3}):
        found = row({"prompt": "a + b?", **record, "answer": "3"})
        assert found.prompt == ({"role": "user", "content": "a + b?"},)
        assert found.extra == record


def test_an_answer_in_the_history_never_leaks() -> None:
    found = row({"instruction": "Turn it.", "input": "stop", "output": "pots",
                 "history": [["Turn it.", "pots"]]})  # fmt: skip
    assert found.prompt == ({"role": "user", "content": "Turn it.\n\nstop"},)


def test_an_assistant_under_any_known_name_never_ends_a_prompt() -> None:
    for name in ("assistant", "Assistant", "GPT", "bot", "model", "ChatGPT", "ai", "助手"):
        found = row({"conversations": [{"from": "Human", "value": "Hi"},
                                       {"from": name, "value": "secret"}]})  # fmt: skip
        assert "secret" not in json.dumps(found.prompt) and found.ground_truth == "secret"


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (Decimal("12.50"), "12.50"),
        (Decimal("1E+3"), "1000"),
        (Decimal("NaN"), ""),
        (date(2024, 2, 29), "2024-02-29"),
        (datetime(2024, 2, 29, 12, 30), "2024-02-29 12:30:00"),
        ([Decimal("0.5"), date(2024, 2, 29)], '["0.5", "2024-02-29"]'),
        (b"caf\xc3\xa9", "café"),
        (float("inf"), "Infinity"),
    ],
)
def test_numbers_and_dates_of_tables_are_their_text(answer: object, text: str) -> None:
    assert row({"prompt": "When?", "answer": answer}).ground_truth == text


def test_what_the_model_does_not_see_is_told_in_one_line() -> None:
    assert told_unseen({"source": 1, "id": 2}) == "not shown to the model: source, id"
    assert told_unseen([]) is None
    many = told_unseen([f"c{n}" for n in range(20)])
    assert many and many.endswith("c11 and 8 more")


def test_maps_of_spark_and_duckdb_are_maps() -> None:
    for pairs in (
        [("ground_truth", "7"), ("style", "rule")],
        [{"key": "ground_truth", "value": "7"}, {"key": "style", "value": "rule"}],
    ):
        found = row({"prompt": "3 + 4?", "reward_model": pairs, "extra_info": [("level", "1")]})
        assert (found.ground_truth, found.extra) == ("7", {"level": "1"})


def test_a_preferred_answer_alone_is_no_prompt() -> None:
    for chosen in ("5", "Human: 2 + 3?", "Say:\n\nHuman: 2 + 3?\n\nAssistant: 5"):
        with pytest.raises(MissingColumn, match="Columns there: chosen, rejected"):
            row({"chosen": chosen, "rejected": "6"})
    assert row({"prompt": "2 + 3?", "chosen": "5"}).prompt[0]["content"] == "2 + 3?"
