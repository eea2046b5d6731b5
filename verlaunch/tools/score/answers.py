"""The answers whose score is known beforehand: the reference, an empty one, and junk.

    for answer in answers_to([Row("math_reasoning", "", "42")]):
        print(answer.kind, repr(answer.row.response))   # reference '42', empty '', junk 'lorem ...'

Left out on purpose: wrong answers, which only a person can make up well.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rewards.part import Row
from verlaunch.plan.reward.answers import JUNK, reference_of

REFERENCE, EMPTY, RUBBISH, RESPONSE = KINDS = ("reference", "empty", "junk", "responses")


@dataclass(frozen=True)
class Answer:
    """question: number of the row; the answers to one question share it.

    told: the score that the file of responses states, None when it states none.
    """

    kind: str
    row: Row
    question: int
    told: float | None = None


def question_of(row: Row) -> str:
    """The same for rows that differ in the response only."""
    return json.dumps([row.data_source, list(row.messages), row.ground_truth], default=str)


def answers_to(rows: Sequence[Row], told: Sequence[float | None] | None = None) -> Iterator[Answer]:
    """Known answers to each question, once; with `told`, the rows' own responses as well.

    A question's answers stand together, so that a scale that moves on treats all kinds alike.
    """
    numbers: dict[str, int] = {}
    for at, row in enumerate(rows):
        key = question_of(row)
        is_new, number = key not in numbers, numbers.setdefault(key, len(numbers))
        if is_new:
            reference = reference_of(row)
            known = {REFERENCE: reference, EMPTY: "", RUBBISH: JUNK}
            for kind, text in known.items():
                if text is not None:
                    yield Answer(kind, replace(row, response=text), number)
        if told is not None:
            yield Answer(RESPONSE, row, number, told[at])
