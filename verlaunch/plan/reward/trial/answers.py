"""The answers whose score is known beforehand: the reference, an empty one, and junk.

    for answer in answers_to([Row("qa", "", '["Paris", "Lutetia"]')]):
        print(answer.kind, answer.row.response)   # reference Paris, empty, junk lorem ipsum ...

A ground truth that is no answer (unit tests, a schema) needs a column with a solution, which then
is the reference; the index of a choice stands for its text. Left out on purpose: wrong answers,
which only a person can make up well.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rewards.part import Row
from rewards.rules.options import key, read_options

SOLUTIONS = ("reference_answer", "reference_solution", "canonical_solution", "solution")
_ASSERT = re.compile(r"^\s*assert\b", re.MULTILINE)
JUNK = "lorem ipsum dolor sit amet"
IDLE_PROGRAM = "pass"
KINDS = ("reference", "empty", "junk", "pass", "responses")
REFERENCE, EMPTY, RUBBISH, IDLE, RESPONSE = KINDS


@dataclass(frozen=True)
class Answer:
    """question: number of the row; the answers to one question share it.

    told: the score that the file of responses states, None when it states none.
    """

    kind: str
    row: Row
    question: int
    told: float | None = None


def _option(text: str, extra: Mapping[str, Any]) -> str | None:
    """The option that a label or an index names: 1 is no answer to a question, "Paris" is."""
    options = read_options(extra) if text.isdecimal() else None
    try:
        return options.texts[key(text, options)] if options else None
    except ValueError:
        return None


def _parsed(truth: Any) -> Any:
    """Lists and objects travel as JSON text in a ground truth."""
    if isinstance(truth, str) and truth.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(truth)
        except (ValueError, RecursionError):
            return truth
    return truth


def reference_of(row: Row) -> str | None:
    """A whole solution or a short answer; None when the row holds neither."""
    truth, extra = _parsed(row.ground_truth), row.extra_info or {}
    if not isinstance(truth, list | Mapping):
        text = "" if truth is None else str(truth)
        if text.strip():
            return _option(text, extra) or text
    for name in SOLUTIONS:
        solution = extra.get(name)
        if isinstance(solution, str) and solution.strip():
            return _whole(solution, row)
    aliases = isinstance(truth, list) and all(isinstance(item, str) for item in truth)
    is_tests = aliases and any(_ASSERT.search(item) for item in truth)
    return truth[0] if aliases and truth and not is_tests else None


def _whole(solution: str, row: Row) -> str:
    """HumanEval's canonical_solution is the body that its prompt leaves open."""
    asked = str(row.messages[-1].get("content", "")) if row.messages else ""
    is_body = solution.lstrip("\n")[:1] in (" ", "\t") and "def " in asked
    return f"{asked.rstrip()}\n{solution}" if is_body else solution


def question_of(row: Row) -> str:
    """The same for rows that differ in the response only."""
    return json.dumps([row.data_source, list(row.messages), row.ground_truth], default=str)


def answers_to(
    rows: Sequence[Row],
    told: Sequence[float | None] | None = None,
    programs: Collection[str] = (),
) -> Iterator[Answer]:
    """Known answers to each question, once; with `told`, the rows' own responses as well.

    programs: data_sources whose answers are programs, and where one that does nothing is junk too.

    A question's answers stand together, so that a scale that moves on treats all kinds alike.
    """
    numbers: dict[str, int] = {}
    for at, row in enumerate(rows):
        key = question_of(row)
        is_new, number = key not in numbers, numbers.setdefault(key, len(numbers))
        if is_new:
            reference = reference_of(row)
            idle = IDLE_PROGRAM if row.data_source in programs else None
            known = {REFERENCE: reference, EMPTY: "", RUBBISH: JUNK, IDLE: idle}
            for kind, text in known.items():
                if text is not None:
                    yield Answer(kind, replace(row, response=text), number)
        if told is not None:
            yield Answer(RESPONSE, row, number, told[at])
