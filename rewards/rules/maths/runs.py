r"""A sentence as runs of formula, words and stops; and the runs that are one list or amount.

    tokens_of(prepared("he has 40 coins"))        # word "he", word "has", run "40", word "coins"
    groups_of(tokens_of(prepared("40 or 42")))    # one group of both runs

A number in a word (CH4) is no run, and a number in a formula is a part of its run. Left out: which
group a sentence states (`sentences`).
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from rewards.rules.maths.numbers import NUMBER
from rewards.rules.maths.phrases import BEFORE_NEXT, GOES_ON, HEDGES, JOINS
from rewards.rules.maths.spelling import LONGEST, spell
from rewards.rules.maths.units import COMPOUND, canonical, unit_of

_FENCE = re.compile(r"\$\$([^$]+)\$\$|\\\(((?:[^\\]|\\[^()])+)\\\)|\\\[((?:[^\\]|\\[^\[\]])+)\\\]")
_DOLLARS = re.compile(r"\$([^$]+)\$(?![0-9])")
_PROSE = re.compile(r"(?<![A-Za-z\\{])[A-Za-z]{3,}(?!\s*\()")
_IN_TEXT = re.compile(r"\\[A-Za-z]+\s*(?:\{[A-Za-z ]*\})?")
_REMARK = re.compile(
    r"(?<=\s)\((?!\s?(?:or|maybe|perhaps|possibly)\b)[^()]*(?<![A-Za-z\\])[A-Za-z]{2,}[^()]*\)"
)
_NAMES = r"sqrt|pi|infty|theta|alpha|beta|sin|cos|tan|cot|sec|csc|arcsin|arccos|arctan|log|ln|exp"
_TOKEN = re.compile(
    rf"(?P<fence>⟦[^⟧]*⟧)|(?P<number>(?<![A-Za-z0-9.]){NUMBER}(?:\s?%)?)"
    r"|(?P<open>\\begin\s?\{[a-z]*\}|\\\{|[(\[{])|(?P<close>\\end\s?\{[a-z]*\}|\\\}|[)\]}])"
    rf"|(?P<formula>\\[A-Za-z]+|(?:{_NAMES})(?![A-Za-z])|(?<=[0-9]):(?=[0-9])"
    r"|[+\-*/^_=<>≤≥≠≈∈|!%√&⏎'])"
    r"|(?P<word>[A-Za-z][A-Za-z0-9]*(?:['’-][A-Za-z]+)*)"
    r"|(?P<stop>[,;:.?])|(?P<other>\S)"
)
_OPERATORS = set("+-*/^_=<>≤≥≠≈∈&")


class Token(NamedTuple):
    """kind: "run" of a formula or number, "word", "stop"."""

    kind: str
    start: int
    end: int
    text: str


class Group(NamedTuple):
    """Runs that are one statement: tokens first to last; joined: a list, or one of several."""

    first: int
    last: int
    joined: bool


def _fenced(match: re.Match) -> str:
    inner = next(filter(None, match.groups()), "")
    return f" ⟦{inner}⟧ " if inner.strip() else " "


def _in_dollars(match: re.Match) -> str:
    """Between two prices there are words, and no formula."""
    return match[0] if _PROSE.search(_IN_TEXT.sub(" ", match[1])) else _fenced(match)


def prepared(text: str) -> str:
    text = text[:LONGEST].replace("⟦", "").replace("⟧", "").replace(r"\$", "")
    if "$" in text or "\\" in text:
        text = _DOLLARS.sub(_in_dollars, _FENCE.sub(_fenced, text))
    return _REMARK.sub(" ", spell(text)) if "(" in text else spell(text)


def _kind(match: re.Match, text: str, depth: int) -> str:
    kind = match.lastgroup or "other"
    if kind in ("fence", "number", "open", "close", "formula"):
        return "run"
    if kind == "stop":
        return "run" if depth > 0 and match[0] in ",;" else "stop"
    if kind == "other":
        return "word"
    before, after = text[: match.start()].rstrip()[-1:], text[match.end() :].lstrip()[:1]
    glued = text[match.start() - 1 : match.start()].isdigit()
    if glued and not unit_of(match[0], spaced=False):
        return "run"
    if len(match[0]) > 1 or glued:
        return "word"
    beside = before in _OPERATORS or after in _OPERATORS or depth > 0
    return "run" if beside or match[0] not in "aAIs" else "word"


def tokens_of(text: str) -> list[Token]:
    found: list[Token] = []
    depth = 0
    for match in _TOKEN.finditer(text):
        kind = _kind(match, text, depth)
        depth += (match.lastgroup == "open") - (match.lastgroup == "close" and depth > 0)
        depth = depth if kind == "run" else 0
        if kind == "run" and found and found[-1].kind == "run":
            found[-1] = found[-1]._replace(
                end=match.end(), text=text[found[-1].start : match.end()]
            )
        else:
            found.append(Token(kind, match.start(), match.end(), match[0]))
    return found


def _says(token: Token) -> bool:
    """A run that may be an answer, and not a lone letter or sign."""
    has_letter = re.search(r"[A-Za-z]", token.text)
    several = len(token.text.strip("⟦⟧ ")) > 1
    return bool(re.search(r"[0-9]", token.text) or (has_letter and several))


def word_at(tokens: Sequence[Token], at: int) -> str:
    return tokens[at].text.casefold() if 0 <= at < len(tokens) and tokens[at].kind == "word" else ""


def _next_run(tokens: Sequence[Token], at: int) -> int | None:
    """Where the list goes on behind the run at `at`; None when it does not."""
    here = at + 1
    unit = word_at(tokens, here)
    if unit and unit not in JOINS and unit not in GOES_ON:
        here += 1
        if canonical(unit) in COMPOUND and _is_amount(tokens, here):
            return here
    if here < len(tokens) and tokens[here].text in (",", ";", ", "):
        here += 1
        plain = here - at == 2
        while word_at(tokens, here) in JOINS | HEDGES:
            plain, here = True, here + 1
        listed = plain and here < len(tokens) and tokens[here].kind == "run"
        after = here + 1
        ends = (
            after >= len(tokens) or tokens[after].kind == "stop" or word_at(tokens, after) in JOINS
        )
        return here if listed and (ends or _ends_list(tokens, after)) else None
    if word_at(tokens, here) not in JOINS:
        return None
    here += 1
    while word_at(tokens, here) in BEFORE_NEXT:
        here += 1
    return here if here < len(tokens) and tokens[here].kind == "run" else None


def _is_amount(tokens: Sequence[Token], at: int) -> bool:
    """A number with a unit that stands behind another one: (5 hours) 20 minutes."""
    return (
        at < len(tokens)
        and tokens[at].kind == "run"
        and canonical(word_at(tokens, at + 1)) in COMPOUND
    )


def _ends_list(tokens: Sequence[Token], at: int) -> bool:
    """A unit behind the last of a list, and nothing more."""
    return unit_of(word_at(tokens, at)) is not None and (
        at + 1 >= len(tokens) or tokens[at + 1].kind == "stop"
    )


def groups_of(tokens: Sequence[Token]) -> list[Group]:
    found: list[Group] = []
    at = 0
    while at < len(tokens):
        if tokens[at].kind == "run" and _says(tokens[at]):
            last = at
            while (following := _next_run(tokens, last)) is not None:
                last = following
            found.append(Group(at, last, last > at))
            at = last
        at += 1
    return found
