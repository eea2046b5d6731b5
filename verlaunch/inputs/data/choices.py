"""Options of a multiple-choice row, also where each has a column of its own, and the right one.

    in_columns({"question": "Which?", "A": "Rome", "B": "Paris"})["choices"]
    # {"A": "Rome", "B": "Paris"}

`choices` and `options` themselves are read as the rule reads them (rewards/rules/options.py).
"""

from collections.abc import Mapping
from typing import Any

from rewards.rules.options import LETTERS, plain, read_options
from verlaunch.inputs.data.cells import is_text, loaded, text_of

# A column for each option: C-Eval and CMMLU, MedMCQA, WinoGrande.
_HEADS = ("", "option_", "option ", "option", "choice_", "choice", "op")


def in_columns(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record, with `choices` for the columns that hold one option each."""
    lower = {str(key).lower(): key for key in record}
    if "choices" in lower or "options" in lower:
        return record
    for head in _HEADS:
        for marks in (LETTERS.lower(), "123456789"):
            keys = _run(lower, head, marks) if head or marks[0] == "a" else []
            if len(keys) > 1 + (not head) and all(is_text(record[key]) for key in keys[:2]):
                kept = {key: value for key, value in record.items() if key not in keys}
                pairs = zip(marks.upper(), (record[key] for key in keys), strict=False)
                return {**kept, "choices": {m: text_of(v) for m, v in pairs if text_of(v)}}
    return record


def _run(lower: Mapping[str, Any], head: str, marks: str) -> list[Any]:
    """The columns head + mark, as many as follow one another."""
    found = []
    for mark in marks:
        if head + mark not in lower:
            break
        found.append(lower[head + mark])
    return found


def right_option(answer: Any, record: Mapping[str, Any]) -> str:
    """The answer as text. An index that is another option's text too is told by its label: a 2
    among the choices "1", "2", "3"."""
    answer = _texts(answer)
    text = text_of(answer)
    if type(answer) is not int:
        return text
    given = next((record[name] for name in ("choices", "options") if record.get(name)), None)
    options = read_options({"choices": loaded(given)})
    if options is None or not 0 <= answer < len(options.labels) or _has_numbers(loaded(given)):
        return text
    same = [at for at, own in enumerate(options.texts) if plain(own) == text]
    return options.labels[answer] if same and text not in options.labels else text


def _has_numbers(given: Any) -> bool:
    """Then a number among the answers may be one of them."""
    items = given.values() if isinstance(given, Mapping) else given
    return isinstance(items, (list, tuple)) and any(type(item) is int for item in items)


def _texts(answer: Any) -> Any:
    """SQuAD's and TriviaQA's maps as the list of texts that are right; anything else as it is."""
    if not isinstance(answer, Mapping):
        return answer
    texts = answer.get("text") if "answer_start" in answer else None
    if "aliases" in answer and isinstance(answer.get("value"), str):
        texts = [answer["value"], *(answer["aliases"] or [])]
    return list(dict.fromkeys(texts)) if isinstance(texts, (list, tuple)) else answer
