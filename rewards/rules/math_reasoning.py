r"""Is the final answer the reference? 1 or 0, by exact value for numbers, by algebra for formulas.

    await compute_score("math_reasoning", "6 * 7 = 42\n#### 42", "42")
    # {"score": 1.0, "answered": 1.0}
    await compute_score("lighteval/MATH", r"\boxed{\frac{1}{\sqrt2}}", r"\frac{\sqrt2}{2}")
    # {"score": 1.0, "answered": 1.0}

Equal text first, equal numbers next; Math-Verify is asked only about formulas. A unit or a percent
sign may be left out. Also the rule of GSM8K and MATH data: those that verl scores -1 or 1 score
0 or 1 here, so that a mixture has one range. Left out: rounding (0.33 is not 1/3; a decimal is
compared with a root to 6 digits).
"""

from typing import Any, Literal, NamedTuple

from rewards.rules.maths.answers import MARKER, Answer, find
from rewards.rules.maths.equal import ByNumber, equal
from rewards.rules.maths.numbers import value
from rewards.rules.maths.quantity import squeeze
from rewards.rules.maths.reference import read_reference
from rewards.rules.maths.spelling import LONGEST, spell
from rewards.rules.maths.statement import Statement, read_statement
from rewards.rules.said import said

Method = Literal["flexible", "strict"]


def _readings(response: str, found: Answer | None, method: Method) -> list[Answer]:
    """What is stated; and the whole response, when it is short and has no marker."""
    if found and found.marked:
        return [found]
    if method == "strict":
        return []
    whole = said(response).text.strip()
    if found is None and MARKER.search(whole):
        return []  # what was announced is taken back
    short = [Answer(whole, whole, False)] if len(whole) <= LONGEST else []
    return [found, *short] if found else short


class _Compared(NamedTuple):
    """open: the statements that algebra may be asked about."""

    right: bool
    answered: bool
    open: tuple[Statement, ...] = ()


def _compare(response: str, gold: Statement, method: Method) -> _Compared:
    """Without algebra."""
    found = find(response)
    answered = found is not None and (found.marked or method == "flexible")
    unknown = []
    for reading in _readings(response, found, method):
        plain = gold.number is not None and "%" not in reading.source
        known = value(reading.source) if plain else None
        if known is not None and known == gold.number:
            return _Compared(True, True)
        if known is not None:
            continue
        answer, asker = read_statement(reading.source), ByNumber()
        if equal(gold, answer, asker) or squeeze(spell(reading.whole)) == squeeze(gold.text):
            return _Compared(True, True)
        if asker.open:
            unknown.append(answer)
    return _Compared(False, answered, tuple(unknown))


def _scores(right: bool, answered: bool) -> dict[str, float]:
    return {"score": float(right), "answered": float(right or answered)}


def quick_score(response: str, truth: str, method: Method = "flexible") -> dict[str, float]:
    """As `compute_score`, at once and without algebra: x+1 is not 1+x."""
    found = _compare(response, read_reference(truth), method)
    return _scores(found.right, found.answered)


async def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str | int | float,
    extra_info: dict[str, Any] | None = None,
    *,
    method: Method = "flexible",
) -> dict[str, float]:
    """score: 1.0 or 0.0; answered: 1.0 when an answer was found at all.

    method: "strict" accepts an answer behind a marker only, "flexible" bare numbers as well.
    Raises Failure for a ground truth that says nothing, and where formulas cannot be compared.
    """
    gold = read_reference(ground_truth)
    right, answered, unknown = _compare(solution_str, gold, method)
    for answer in unknown:
        from rewards.rules import mathpool

        right = right or await mathpool.is_equal(gold.text, answer.text)
    return _scores(right, answered)
