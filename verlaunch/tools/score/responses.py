"""Responses that somebody has already: a run's samples/*.jsonl, verl's own dumps, or any file.

    rows, told = read_responses("outputs/samples", data_source=None, count=50, seed=1)

A row needs a column `response`; prompt or messages, ground_truth, data_source and extra_info are
taken where they are, and so are columns that a rule reads (`choices`, `tests`). A score in the file
is kept, to be compared with the one found here.
"""

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from rewards.checks import FAILED
from rewards.part import Row
from verlaunch.errors import UserError
from verlaunch.inputs.data.cells import mapping
from verlaunch.inputs.data.messages import Dropped, messages_of
from verlaunch.inputs.data.readers import records
from verlaunch.inputs.data.sources import sources
from verlaunch.plan.reward.trial.few import few

LOOKED_AT = 100_000  # rows
NO_LABEL = "unlabelled"
# ours first, then verl's dumps (input, output, gts), then what other tools write
RESPONSES = ("response", "responses", "output", "completion", "solution_str", "prediction")
PROMPTS = ("messages", "prompt", "input", "question", "problem")
TRUTHS = ("ground_truth", "gts", "reference", "answer", "target")
READ = ("choices", "options", "json_schema", "tests", "test_list", "test_imports",
        "test_setup_code", "test", "entry_point")  # fmt: skip

Told = tuple[Row, float | None]


def _first(record: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((record[name] for name in names if record.get(name) is not None), None)


def _samples(name: str) -> str:
    """A run's own folder stands for the samples in it."""
    folder = Path(name).expanduser() / "samples"
    return str(folder) if folder.is_dir() else name


def _messages(prompt: Any) -> tuple[tuple[dict[str, str], ...], str | None]:
    """The prompt's messages, and the assistant's answer where a conversation ends in one."""
    try:
        return messages_of(prompt)
    except Dropped:
        return (), None


def _truth(record: Mapping[str, Any]) -> str:
    nested = record.get("reward_model")
    if isinstance(nested, Mapping) and nested.get("ground_truth") is not None:
        truth = nested["ground_truth"]
    else:
        truth = _first(record, TRUTHS)
    return "" if truth is None else truth if isinstance(truth, str) else json.dumps(truth)


def _texts(record: Mapping[str, Any], said: str | None) -> list[str]:
    found = _first(record, RESPONSES)
    texts = found if isinstance(found, list) else [said if found is None else found]
    return [text for text in texts if isinstance(text, str)]


def _extra(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """What rules read beside the answer may stand in columns, as in the data of a run."""
    columns = {name: record[name] for name in READ if record.get(name) is not None}
    return {**columns, **mapping(record.get("extra_info"))} or None


def _rows(record: Mapping[str, Any], label: str | None) -> Iterator[Told]:
    """One for each response of the record; none when it holds no text."""
    messages, said = _messages(_first(record, PROMPTS))
    extra = _extra(record)
    source = record.get("data_source") or (record.get(label, label) if label else NO_LABEL)
    told = None if record.get(FAILED) else record.get("score")  # the mean stands in for a failure
    for text in _texts(record, said):
        row = Row(str(source), text, _truth(record), extra, messages)
        yield row, float(told) if isinstance(told, int | float) else None


def read_responses(
    spec: Any, data_source: str | None, count: int, seed: int
) -> tuple[list[Row], list[float | None]]:
    """About `count` responses and their scores in the file. Raises UserError.

    data_source: a column, or one label for all rows, for rows without their own.
    """
    spec = [_samples(name) for name in ([spec] if isinstance(spec, str) else spec)]
    found: list[Told] = []
    columns: list[str] = []
    for source in sources(spec):
        for _, record in islice(records(source), LOOKED_AT):
            if not isinstance(record, Mapping):
                continue
            columns = columns or [str(name) for name in record]
            found += _rows(record, data_source)
    if not found:
        raise UserError(
            f"--responses {','.join(spec)}: no row has a text in a column `response`. "
            f"Columns there: {', '.join(columns) or 'none'}."
        )
    picked = few(found, count, seed, label=lambda told: told[0].data_source)
    return [row for row, _ in picked], [told for _, told in picked]
