"""One record, whatever its layout -> one `Row`: chat messages, an answer, a label, the rest.

    normalise({"question": "2+3?", "answer": "#### 5"}, Source("a.json"), "a.json:1")

Answers are left whole ("... #### 5"): the reward's rule reads them. Without a column map the usual
column names are tried. verl's own layout passes as it is. Text only: images are left out.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from verlaunch.errors import UserError
from verlaunch.inputs.data.cells import loaded, mapping, text_of
from verlaunch.inputs.data.choices import in_columns, right_option
from verlaunch.inputs.data.messages import Dropped, turns_of
from verlaunch.inputs.data.prompt import CHOICES, HISTORY, INPUT, SYSTEM, whole
from verlaunch.inputs.data.sources import Source

PROMPT_NAMES = ("prompt", "question", "problem", "instruction", "query", "messages",
                "conversations", "conversation", "question_stem", "input", "chosen")  # fmt: skip
PREFERRED = PROMPT_NAMES[-1]
ANSWER_NAMES = ("ground_truth", "answer", "final_answer", "expected_answer", "target", "label",
                "output", "response", "solution", "completion", "reference", "answerkey",
                "answers", "correct_answer", "correct")  # fmt: skip
MEDIA = ("images", "image", "videos", "video", "audios", "audio")
OWN = ("reward_model", "extra_info", "ability", "agent_name")  # verl's columns, with a home below
NO_LABEL = "unlabelled"
MOST_TOLD = 12  # columns
_ABSENT = object()


class MissingColumn(UserError):
    """The row lacks a column: a mistake in the map when no row has it, else a row to drop."""


@dataclass(frozen=True)
class Row:
    """prompt: chat messages, the last one not the assistant's. extra: columns without a home.

    unseen: names of columns with something in them that neither the prompt nor the answer holds.
    """

    prompt: tuple[dict[str, str], ...]
    ground_truth: str
    data_source: str
    style: str = "rule"
    ability: str | None = None
    agent_name: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    unseen: tuple[str, ...] = field(default=(), compare=False)


def normalise(record: Any, source: Source, where: str) -> Row:
    """Raises Dropped for a row to count and leave out, MissingColumn for a wrong column map."""
    if not isinstance(record, Mapping):
        raise Dropped("the row is not an object")
    if any(record.get(name) for name in MEDIA if name != source.input):
        raise Dropped("has images, video or audio (text only)")
    prompt_name, prompt = _prompt(record, source, where)
    record = in_columns(record)
    answer_name, answer = _answer(record, source, where, prompt_name)
    asked = whole(record, prompt, prompt_name, answer_name)
    answer = asked.said if answer_name is None else answer
    label_name, label = _label(record, source)
    taken = {prompt_name, answer_name, label_name, *OWN}
    reward_model = mapping(record.get("reward_model"))
    in_prompt = {name for name in asked.used if name.lower() in (INPUT, *SYSTEM, *HISTORY)}
    return Row(
        prompt=asked.messages,
        ground_truth=right_option(answer, record),
        data_source=label,
        style=_name(reward_model.get("style")) or "rule",
        ability=_name(record.get("ability")),
        agent_name=_name(record.get("agent_name")),
        extra=_extra(record, taken | in_prompt),
        unseen=_unseen(record, taken | asked.used),
    )


def _prompt(record: Mapping[str, Any], source: Source, where: str) -> tuple[str, Any]:
    """(column, value). The answer that was preferred is a prompt only as whole turns."""
    name = _find(record, source.input, PROMPT_NAMES)
    value = None if name is None else _get(record, name)
    if name is not None and name.lower() == PREFERRED:
        value = loaded(turns_of(value))
        name = None if isinstance(value, str) and source.input is None else name
    if name is None:
        raise _missing(record, source.input, "prompt", "--prompt_key", where)
    return name, value


def told_unseen(names: Collection[str]) -> str | None:
    """The line that says what the model never sees."""
    if not names:
        return None
    more = f" and {len(names) - MOST_TOLD} more" if len(names) > MOST_TOLD else ""
    return f"not shown to the model: {', '.join(list(names)[:MOST_TOLD])}{more}"


def _unseen(record: Mapping[str, Any], seen: set[str | None]) -> tuple[str, ...]:
    """The head of a dotted name is no column that was left out."""
    heads = {str(name).split(".")[0] for name in seen if name}
    rest = (str(key) for key in record if key not in seen and str(key) not in heads)
    return tuple(key for key in rest if record.get(key) not in (None, "", [], {}))


def _get(record: Mapping[str, Any], name: str) -> Any:
    """The column `name`, or with dots a nested one ("reward_model.ground_truth")."""
    if name in record:
        return record[name]
    head, dot, rest = name.partition(".")
    inner = record.get(head, _ABSENT) if dot else _ABSENT
    return _get(inner, rest) if isinstance(inner, Mapping) else _ABSENT


def _find(record: Mapping[str, Any], chosen: str | None, names: tuple[str, ...]) -> str | None:
    if chosen is not None:
        return chosen if _get(record, chosen) is not _ABSENT else None
    lower = {str(key).lower(): key for key in record}
    there = [lower[name] for name in names if name in lower]
    return next((name for name in there if record[name] is not None), there[0] if there else None)


def _missing(
    record: Mapping[str, Any], chosen: str | None, what: str, flag: str, where: str
) -> MissingColumn:
    key = "input" if what == "prompt" else "output"
    wanted = f"no column {chosen!r} for the {what}" if chosen else f"no column looks like a {what}"
    columns = ", ".join(map(str, record)) or "none"
    return MissingColumn(
        f"{where}: {wanted}. Columns there: {columns}. "
        f"Name the right one: {flag} COLUMN (or `{key}: COLUMN` in YAML)."
    )


def _answer(
    record: Mapping[str, Any], source: Source, where: str, prompt_name: str
) -> tuple[str | None, Any]:
    """(column, value); no column where only the messages may hold an answer."""
    nested = mapping(record.get("reward_model")).get("ground_truth")
    if source.output is None and nested is not None:
        return "reward_model", nested
    names = tuple(name for name in ANSWER_NAMES if name != prompt_name.lower())
    name = _find(record, source.output, names)
    if name is not None:
        return name, _get(record, name)
    if source.output is not None:
        raise _missing(record, source.output, "answer", "--answer_key", where)
    return None, None


def _label(record: Mapping[str, Any], source: Source) -> tuple[str, str]:
    """(column, label): the map's column or label first, then the row's own, then the dataset's."""
    if source.data_source is not None:
        value = _get(record, source.data_source)
        if value is _ABSENT:
            return "data_source", source.data_source
        return source.data_source, text_of(value) or NO_LABEL
    own = record.get("data_source")
    return "data_source", text_of(own) or (source.path if source.type == "hub" else NO_LABEL)


def _extra(record: Mapping[str, Any], used: set[str | None]) -> dict[str, Any]:
    rest = {
        str(key): loaded(value) if str(key).lower() in CHOICES else value
        for key, value in record.items()
        if key not in used
    }
    return {**rest, **mapping(record.get("extra_info"))}


def _name(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
