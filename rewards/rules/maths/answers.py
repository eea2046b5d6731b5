r"""Where a response states its final answer, and how it is written there.

    find("so 3 + 4 = 7\n#### $7.00").source               # "7.00"
    find(r"so $x=\boxed{2}$ or $x=\boxed{-2}$").source     # "x=2 or x=-2"
    find("<think>It is 5.</think> The answer is not 5.")   # None

What was only thought is no answer, and <answer> is one. Else an explicit marker (`\boxed{42}`,
`#### 42`, "The answer is 42") beats bare numbers, the last marker beats earlier ones, and without
any the last line counts. Boxes joined in one sentence are one answer; an empty or unclosed last one
is none. Every pass is linear. Left out: what a sentence states (`sentences`).
"""

import re
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from rewards.rules.boxes import closed
from rewards.rules.maths.sentences import DENIED, stated
from rewards.rules.maths.spelling import LONGEST, spell
from rewards.rules.said import said

# no re.IGNORECASE: with it the search looks at every character with care
_SAY = "[Aa][Nn][Ss][Ww][Ee][Rr]"
MARKER = re.compile(
    r"(?P<box>\\f?(?:box|boxed)\s{0,3}(?:\{|(?=[0-9])))|(?P<hash>\#{4,})"
    rf"|(?P<say>{_SAY}[Ss]?[\s*_]{{0,4}}"
    r"(?:(?:is|are|IS|ARE|(?:must|should|would|will|has\sto)\sbe)\b|[:=：])"
    r"|答案\s{0,3}(?:是|为|[:：]))"
)
MOST_MARKERS = 32  # the last ones of a response that repeats itself
_SENTENCE_END = re.compile(r"(?:[.。]|[;；](?!\s?(?:or|alternatively)\b))(?:[\s*]|$)|\n")
_JOINED = re.compile(
    r"(?:(?P<by>,|;|&|\band\b|\bor\b|和|或|\n\s?[-*•]\s|\\q?quad"
    r"|\\(?:text|mathrm)\s?\{\s?,?\s?(?:and|or)\s?,?\s?\})|[\s$.:()\[\]]|\\[^A-Za-z]){0,24}?"
    r"(?P<name>[A-Za-z](?:_\{?\w{1,3}\}?)?\s?=)?[\s$]{0,3}"
)
_NAME = re.compile(r"(?<![A-Za-z\\])([A-Za-z](?:_\{?\w{1,3}\}?)?\s?=)\s?$")
_NOT = re.compile(
    r"(?:\b(?:not|never|cannot\sbe|can't\sbe)|n't|n't\sbe|≠|!=|\\neq?|不是|不等于)[\s$:\\(\[*]*$"
)
_THAT_IS = re.compile(r"\bi\.\s?e\.")
_WORDS = re.compile(r"[^\W_]")


_PLAIN_LINE = re.compile(r"[ \t]*(-?[0-9][0-9,]*(?:\.[0-9]+)?)\.?[ \t]*(?:\n|$)")  # #### 42


_DOUBTED = re.compile(
    r"(?:n['’]t|\b(?:not|doubt|never|false|untrue|wrong|incorrect))\s(?:to\s)?"
    r"(?:think|believe|say|know|sure|claim|mean)?\s?"
    r"(?:that\s|whether\s|if\s)?(?:the\s)?(?:final\s|right\s|correct\s)?$"
)
_OR = ("or", "或", r"\text{ or }", r"\text{or}")
MOST_BETWEEN = 60  # characters between two boxes of one answer


class Answer(NamedTuple):
    """source: what is stated, as it is written; whole: the sentence or box that it stands in."""

    source: str
    whole: str
    marked: bool = True


def _content(mark: re.Match, text: str) -> str | None:
    body = text[mark.end() : mark.end() + LONGEST]
    if not mark[0].endswith("{"):
        return re.split(r"[\s$,;}]", body, maxsplit=1)[0]
    return closed(body)


def _end(mark: re.Match, text: str) -> int:
    content = _content(mark, text) or ""
    return mark.end() + len(content) + mark[0].endswith("{")


def _boxes(marks: Sequence[re.Match], text: str) -> Answer | None:
    """The last box, and those before it that are joined to it in one sentence."""
    content = _content(marks[-1], text)
    if content is None or not (_WORDS.search(spell(content)) or "\\" in content):
        return None
    source, seen, first = content, {spell(content)}, marks[-1]
    for before in reversed(marks[:-1]):
        inside = _content(before, text) if before["box"] else None
        gap = text[_end(before, text) : first.start()]
        joined = _JOINED.fullmatch(gap) if inside and len(gap) <= MOST_BETWEEN else None
        if inside is None or joined is None or not joined["by"] or "\n\n" in gap:
            break
        name, by = joined["name"] or "", "or" if joined["by"] in _OR else ","
        source, first = f"{inside} {by} {name}{source}", before
        seen.add(spell(inside))
    if len(seen) == 1:
        return Answer(content, content)
    named = _NAME.search(text[max(0, first.start() - 12) : first.start()])
    source = f"{named[1]}{source}" if named and first is not marks[-1] else source
    return Answer(source, source)


def _line(text: str) -> str:
    """The first line that holds more than typesetting."""
    return next((line for line in text.split("\n") if _WORDS.search(spell(line))), "")


def _read(text: str) -> Answer | None:
    """A sentence: what it states, or itself when that is no number and no formula."""
    source = stated(text)
    if source == DENIED:
        return None
    text = text.strip()
    return Answer(source or text, text) if source or _WORDS.search(text) else None


def _display(text: str) -> str:
    """`\\[` and `42` and `\\]` on lines of their own are one line; "i.e." ends no sentence."""
    text = _THAT_IS.sub("that is", text)
    return re.sub(r"(\\\[|\\\(|\$\$)\s*|\s*(\\\]|\\\)|\$\$)", r"\1\2", text)


def _behind(mark: re.Match, text: str, end: int) -> Answer | None:
    """What a marker in words announces; `end`: where the next marker begins."""
    if mark["say"] and _DOUBTED.search(text[max(0, mark.start() - MOST_BETWEEN) : mark.start()]):
        return None
    plain = _PLAIN_LINE.match(text, mark.end(), end)
    if plain:
        return Answer(plain[1], plain[1])
    line = _line(_display(text[mark.end() : min(end, mark.end() + LONGEST)]))
    parts = [part for part in _SENTENCE_END.split(line) if _WORDS.search(part)]
    with_digits = [part for part in parts if re.search(r"[0-9]", part)] or parts[:1]
    read = (_read(part) for part in with_digits)  # "not 42; it is 43": the next one
    return next((answer for answer in read if answer), None)


def _of(marks: Sequence[re.Match], text: str) -> Answer | None:
    """The answer behind the last marker. "The answer is correct" gives way to `\\boxed{42}`."""
    prose: Answer | None = None
    end = len(text)
    for at in range(len(marks) - 1, -1, -1):
        mark = marks[at]
        if mark["box"]:
            if not _NOT.search(text[max(0, mark.start() - 30) : mark.start()]):
                return _boxes(marks[: at + 1], text)
        else:
            answer = _behind(mark, text, end)
            if answer is None and end == len(text) and re.search(r"[0-9]", text[mark.end() :]):
                return None  # the last thing said is taken back
            if answer and (re.search(r"[0-9]", answer.source) or answer.source != answer.whole):
                return answer
            prose = prose or answer
        end = mark.start()
    return prose


def last_line(text: str) -> Answer | None:
    """What its last sentence with a number states, when the response has no marker."""
    text = _display(text.rstrip()[-4 * LONGEST :])
    line = text[max(text.rfind("\n") + 1, len(text) - LONGEST) :]
    parts = [part for part in _SENTENCE_END.split(line) if part.strip()]
    for part in reversed(parts):
        source = stated(part, announced=False)
        if source is not None:
            return Answer(source, part.strip(), False) if source else None
    return None


def find(text: str) -> Answer | None:
    """The final answer, None when there is none."""
    text, tagged = said(text)
    marks = list(deque(MARKER.finditer(text), maxlen=MOST_MARKERS))
    if marks:
        return _of(marks, text)
    if not tagged:
        return last_line(text)
    inside = text.strip()
    if not _WORDS.search(spell(inside)):
        return None
    found = last_line(text) if len(inside) > LONGEST or "\n" in inside else _read(inside)
    return found._replace(marked=True) if found else None
