r"""Where a response states its final answer, and how it is spelled there.

    find("so 3 + 4 = 7\n#### $7.00").text          # "7.00"
    find(r"thus \boxed{\frac{\sqrt2}{2}}").source  # "\frac{\sqrt2}{2}"

An explicit marker (`#### 42`, `\boxed{42}`, "The answer is 42", "Answer: 42") beats bare numbers,
the last marker beats earlier ones, and without any the last number of the last line counts.
Every pass over the text is linear. Left out: what an answer is worth (`math_reasoning`).
"""

import re
from collections import deque
from typing import NamedTuple

from rewards.rules.numbers import LONGEST, NUMBER, clean, numbers

MARKER = re.compile(
    r"(?P<box>\\f?boxed\s{0,3}\{)|(?P<hash>\#{4,})"
    r"|(?P<say>answer[\s*]{0,4}(?:is\b|[:=：])|答案\s{0,3}(?:是|为|[:：]))",
    re.IGNORECASE,
)
MOST_MARKERS = 32  # the last ones of a response that repeats itself
# a number among these is a part of a formula, not an answer with a unit
FORMULA = re.compile(r"[\^_\\{}+*<>|\[\]√π]|\b(?:sqrt|log|ln|sin|cos|tan|pi)\b|[0-9][xyzn]\b|!")
_SENTENCE_END = re.compile(r"[.;。;](?:\s|$)|\n")
EDGES = " \t\r\n.,:;=?*\"'。,:！"
_CRY = re.compile(r"(?<![0-9)\]}])!+\s*$")  # 10! is a factorial, "Yes!" is none


class Answer(NamedTuple):
    """text: without typesetting, a bare number where it states one. source: as it was written."""

    text: str
    source: str


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
    lines = text.split("\n")
    return next((line for line in lines if any(c.isalnum() for c in clean(line))), "")


def trim(text: str) -> str:
    """Without what surrounds an answer in a sentence."""
    return _CRY.sub("", text).rstrip(EDGES).lstrip(EDGES.replace(".", ""))  # .5 keeps its point


def read(text: str, first_of_many: bool = False) -> str:
    """A number's spelling when the text states one (its result when it states `6*7 = 42`);
    else the text itself. `first_of_many`: prose such as "42 apples, 3 each" answers 42."""
    text = trim(clean(text))
    text = text.rstrip(EDGES + "!") if first_of_many else text
    stated = trim(text.rpartition("=")[2])
    found = numbers(stated)
    if not found or FORMULA.search(NUMBER.sub(" ", stated)) or re.search(r"\d[xyzn]\b", stated):
        return text
    return found[0] if len(found) == 1 or first_of_many else text


def _sentence(text: str) -> str:
    """The first sentence with a digit; the first one when none has any."""
    parts = [part for part in _SENTENCE_END.split(text) if part.strip(EDGES)]
    return next((part for part in parts if re.search(r"[0-9]", part)), parts[0] if parts else "")


def _behind(mark: re.Match, text: str, end: int) -> Answer:
    """The answer that a marker announces; `end`: where the next marker begins."""
    body = text[mark.end() : mark.end() + LONGEST]
    if mark["box"]:
        source = _braces(body)
        return Answer(read(source), source)
    line = _line(body[: end - mark.end()])
    return Answer(read(_sentence(clean(line)), first_of_many=True), _sentence(line))


def find_marked(text: str) -> Answer | None:
    """The answer behind the last marker. "The answer is correct" gives way to `\\boxed{42}`."""
    prose: Answer | None = None
    end = len(text)
    for mark in reversed(deque(MARKER.finditer(text), maxlen=MOST_MARKERS)):
        answer = _behind(mark, text, end)
        end = mark.start()
        if answer.text and (mark["box"] or re.search(r"[0-9]", answer.text)):
            return answer
        prose = prose or (answer if answer.text else None)
    return prose


def last_number(text: str) -> Answer | None:
    """The last one of the last line."""
    text = text.rstrip()
    line = text[max(text.rfind("\n") + 1, len(text) - LONGEST) :]
    found = numbers(clean(line))
    return Answer(found[-1], line) if found else None


def find(text: str) -> Answer | None:
    """The final answer, None when there is none."""
    return find_marked(text) or last_number(text)


def find_reference(text: str) -> Answer:
    """A ground truth is one whole answer ("72 clips", "(1, 2)") or a solution that ends in one."""
    text = text.strip()
    if MARKER.search(text) or "\n" in text:
        return find(text) or Answer("", "")
    return Answer(read(text), text)
