r"""Is the final answer the reference? 1 or 0, by exact value for numbers, by algebra for formulas.

    await compute_score("math_reasoning", "6 * 7 = 42\n#### 42", "42")
    # {"score": 1.0, "answered": 1.0}
    await compute_score("lighteval/MATH", r"\boxed{\frac{1}{\sqrt2}}", r"\frac{\sqrt2}{2}")
    # {"score": 1.0, "answered": 1.0}

Equal text first, equal numbers next; Math-Verify is asked only about formulas. Units and % are
dropped on both sides. Also the rule of GSM8K and MATH data: those that verl scores -1 or 1 score
0 or 1 here, so that a mixture has one range. Left out: rounding (0.33 is not 1/3; Math-Verify does
compare decimals with roots, to 6 digits).
"""

import re
from typing import Any, Literal, NamedTuple

from rewards.rules import expressions
from rewards.rules.answers import (
    EDGES,
    Answer,
    find,
    find_marked,
    find_reference,
    last_number,
    read,
    trim,
)
from rewards.rules.numbers import LONGEST, clean, numbers, value

Method = Literal["flexible", "strict"]
_ONE_IN_BRACES = re.compile(r"([_^])\{(\w)\}")  # x^{2} is x^2, 12_{5} is 12_5
_OPTION = re.compile(r"\([a-j]\)")  # (B) is B


def extract_answer(text: str) -> str | None:
    """The final answer as it is spelled ("1,234", "1/2", "x+1"), None when there is none."""
    found = find(text)
    return found.text if found else None


def _value(text: str) -> Any:
    found = numbers(clean(text))
    return value(found[0]) if len(found) == 1 and found[0] == clean(text).rstrip(",") else None


def _as_text(text: str) -> str:
    text = "".join(trim(clean(text)).strip(EDGES).casefold().split())
    text = _ONE_IN_BRACES.sub(r"\1\2", text)
    return text[1:-1] if _OPTION.fullmatch(text) else text


def same_answer(a: str | None, b: str | None) -> bool:
    """Equal in exact value when both are numbers, else equal as text without spaces and case."""
    if a is None or b is None:
        return False
    if a == b:
        return bool(_as_text(a))
    a, b = read(a), read(b)
    values = _value(a), _value(b)
    if None not in values:
        return values[0] == values[1]
    return bool(_as_text(a)) and _as_text(a) == _as_text(b)


class _Parsed(NamedTuple):
    """What a response says: behind a marker, and in the end (the same where there is a marker)."""

    text: str
    marked: Answer | None
    answer: Answer | None
    strict: bool


def _parse(response: str, method: Method) -> _Parsed:
    marked, strict = find_marked(response), method == "strict"
    return _Parsed(response, marked, marked if marked or strict else last_number(response), strict)


def _is_right(said: _Parsed, truth: Answer) -> bool:
    """Without algebra."""
    if said.answer and same_answer(said.answer.text, truth.text):
        return True
    whole = not said.strict and len(said.text) <= LONGEST  # "x + 1": the answer and no more
    return whole and same_answer(said.text.strip(), truth.text)


def _formulas(said: _Parsed, truth: Answer) -> tuple[str, str] | None:
    """The two sides that algebra should compare; None when there is nothing to ask."""
    gold = expressions.formula(truth.source)
    if gold is None or (said.strict and said.marked is None):
        return None
    source = said.marked.source if said.marked else expressions.last_fenced(said.text)
    is_number = _value(truth.text) is not None
    if is_number and (source is None or (said.marked and _value(said.marked.text) is not None)):
        return None  # two numbers were compared already
    answer = expressions.formula(source or said.text)
    if answer is None or (is_number and expressions.is_unfinished(answer)):
        return None
    return gold, answer


def _scores(right: bool, said: _Parsed) -> dict[str, float]:
    return {"score": float(right), "answered": float(right or said.answer is not None)}


def quick_score(response: str, truth: str, method: Method = "flexible") -> dict[str, float]:
    """As `compute_score`, at once and without algebra: x+1 is not 1+x."""
    said = _parse(response, method)
    return _scores(_is_right(said, find_reference(truth)), said)


async def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: dict[str, Any] | None = None,
    *,
    method: Method = "flexible",
) -> dict[str, float]:
    """score: 1.0 or 0.0; answered: 1.0 when an answer was found at all.

    method: "strict" accepts an answer behind a marker only, "flexible" bare numbers as well.
    Raises Failure when formulas cannot be compared at all, whatever the answer.
    """
    if not isinstance(ground_truth, str):
        kind = type(ground_truth).__name__
        raise TypeError(f"ground_truth is of type {kind}; this rule needs text, such as '42'")
    said, truth = _parse(solution_str, method), find_reference(ground_truth)
    right = _is_right(said, truth)
    if not right and (pair := _formulas(said, truth)):
        from rewards.rules import mathpool

        right = await mathpool.is_equal(*pair)
    return _scores(right, said)
