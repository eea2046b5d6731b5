r"""1 for the right final answer, 0 for any other: numbers by exact value, the rest as text.

    compute_score("math_reasoning", "6 * 7 = 42\n#### 42", "42")  # {"score": 1.0, "answered": 1.0}

An explicit marker (`#### 42`, `\boxed{42}`, "The answer is 42", "Answer: 42") beats bare numbers,
the last marker beats earlier ones, and without any the last number of the last line counts.
Units and % are dropped on both sides. Left out: algebra (x+1 is not 1+x) and rounding (0.33 is
not 1/3). Every pass over the text is linear.
"""

import re
from collections import deque
from typing import Any, Literal

from rewards.rules.numbers import LONGEST, NUMBER, clean, numbers, value

MARKER = re.compile(
    r"(?P<box>\\f?boxed\s{0,3}\{)|(?P<hash>\#{4,})"
    r"|(?P<say>answer[\s*]{0,4}(?:is\b|[:=：])|答案\s{0,3}(?:是|为|[:：]))",
    re.IGNORECASE,
)
MOST_MARKERS = 32  # the last ones of a response that repeats itself
# a number among these is a part of a formula, not an answer with a unit
FORMULA = re.compile(r"[\^_\\{}+*<>|\[\]√π]|\b(?:sqrt|log|ln|sin|cos|tan|pi)\b|[0-9][xyzn]\b")
_SENTENCE_END = re.compile(r"[.;。;](?:\s|$)|\n")
_EDGES = " \t\r\n.,:;=!?*\"'。,:"


def _braces(text: str) -> str:
    """What stands before the brace that closes the one already open; the first line if none."""
    depth = 1
    for at, character in enumerate(text):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth == 0:
            return text[:at]
    return text.split("\n", 1)[0]


def _line(text: str) -> str:
    """The first line that holds more than typesetting."""
    lines = (clean(line) for line in text.split("\n"))
    return next((line for line in lines if any(c.isalnum() for c in line)), "")


def _trim(text: str) -> str:
    return text.rstrip(_EDGES).lstrip(_EDGES.replace(".", ""))  # .5 keeps its point


def _read(text: str, first_of_many: bool) -> str:
    """A number's spelling when the text states one (its result when it states `6*7 = 42`);
    else the text itself. `first_of_many`: prose such as "42 apples, 3 each" answers 42."""
    text = _trim(clean(text))
    stated = _trim(text.rpartition("=")[2])
    found = numbers(stated)
    if not found or FORMULA.search(NUMBER.sub(" ", stated)) or re.search(r"\d[xyzn]\b", stated):
        return text
    return found[0] if len(found) == 1 or first_of_many else text


def _sentence(text: str) -> str:
    """The first sentence with a digit; the first one when none has any."""
    parts = [part for part in _SENTENCE_END.split(text) if part.strip(_EDGES)]
    return next((part for part in parts if re.search(r"[0-9]", part)), parts[0] if parts else "")


def _marked(text: str) -> str | None:
    """The answer behind the last marker. "The answer is correct" gives way to `\\boxed{42}`."""
    prose: str | None = None
    end = len(text)
    for mark in reversed(deque(MARKER.finditer(text), maxlen=MOST_MARKERS)):
        body = text[mark.end() : mark.end() + LONGEST]
        if mark["box"]:
            answer = _read(_braces(body), first_of_many=False)
        else:
            answer = _read(_sentence(_line(body[: end - mark.end()])), first_of_many=True)
        end = mark.start()
        if answer and (mark["box"] or re.search(r"[0-9]", answer)):
            return answer
        prose = prose or answer or None
    return prose


def _last_number(text: str) -> str | None:
    text = text.rstrip()
    line = text[max(text.rfind("\n") + 1, len(text) - LONGEST) :]
    found = numbers(clean(line))
    return found[-1] if found else None


def extract_answer(text: str) -> str | None:
    """The final answer as it is spelled ("1,234", "1/2", "x+1"), None when there is none."""
    return _marked(text) or _last_number(text)


def _reference(text: str) -> str:
    """A ground truth is one whole answer ("72 clips", "(1, 2)") or a solution that ends in one."""
    text = text.strip()
    if MARKER.search(text) or "\n" in text:
        return extract_answer(text) or ""
    return _read(text, first_of_many=False)


def _value(text: str) -> Any:
    found = numbers(clean(text))
    return value(found[0]) if len(found) == 1 and found[0] == clean(text).rstrip(",") else None


def _as_text(text: str) -> str:
    return "".join(clean(text).strip(_EDGES).casefold().split())


def same_answer(a: str | None, b: str | None) -> bool:
    """Equal in exact value when both are numbers, else equal as text without spaces and case."""
    if a is None or b is None:
        return False
    a, b = _read(a, first_of_many=False), _read(b, first_of_many=False)
    values = _value(a), _value(b)
    if None not in values:
        return values[0] == values[1]
    return bool(_as_text(a)) and _as_text(a) == _as_text(b)


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: dict[str, Any] | None = None,
    *,
    method: Literal["flexible", "strict"] = "flexible",
) -> dict[str, float]:
    """score: 1.0 or 0.0; answered: 1.0 when an answer was found at all.

    method: "strict" accepts an answer behind a marker only, "flexible" bare numbers as well.
    """
    truth = _reference(ground_truth)
    answer = _marked(solution_str) if method == "strict" else extract_answer(solution_str)
    right = same_answer(answer, truth)
    if not right and method == "flexible" and len(solution_str) <= LONGEST:
        right = same_answer(solution_str.strip(), truth)  # "x + 1", "yes": the answer and no more
    return {"score": float(right), "answered": float(right or answer is not None)}
