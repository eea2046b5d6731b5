r"""One value of an answer: a number with what stands around it, an expression, or words.

    read("12 cm")       # number 12, unit "cm"
    read(r"20\pi cm^3") # core r"20\pi", unit "cm^3"
    read("June 14")     # number 14, months {6}
    read("at least 4")  # no number: words "at least 4"

The text has been spelled (`spelling.spell`). Letters beside a number are algebra unless they are a
known unit; whole words are a unit or a name. Left out: whether two values are equal (`equal`).
"""

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from rewards.rules.maths.numbers import NUMBER, value
from rewards.rules.maths.phrases import ABOUT, BOUND, NEGATION
from rewards.rules.maths.units import COMPOUND, canonical, months_in, unit_of

EDGES = " .,:;=?*\"'’‘“”。,:！？"
_CRY = re.compile(r"(?<=[A-Za-z][A-Za-z])!+\s*$")  # 10! and n! are factorials, "Yes!" is none
_FRACTION = r"\\frac\s?\{\s?[-+]?\s?[0-9.,]+\s?\}\s?\{\s?[0-9.,]+\s?\}"
_LITERAL = re.compile(
    rf"(?:(?<![\w)}}\]])[-+]\s?)?(?:[0-9]+\s?{_FRACTION}|{_FRACTION}|(?<![A-Za-z0-9.]){NUMBER})(?:\s?%)?"
)
_WORDS = re.compile(r"[^\W\d_][^\W\d_'’.\- ]*(?:['’.\- ]+[^\W\d_][^\W\d_'’]*)*[.]?")
_ALGEBRA = re.compile(
    r"(?<![A-Za-z])(?:sqrt|pi|sin|cos|tan|cot|sec|csc|log|ln|exp|mod|max|min|gcd|lcm|abs|base"
    r"|plus|minus|times|over|divided|squared|cubed|factorial|root|power|choose)(?![A-Za-z])"
)
_VARIABLE = re.compile(r"(?<![A-Za-z\\])[A-Za-z]{1,2}(?![A-Za-z])")
_NAMED = re.compile(r"\\[A-Za-z]+")
_TOKEN = re.compile(r"[0-9]+(?:[.,:/][0-9]+)*|[^\W\d_]+|[^\s\w]")
_EMPTY = {"and", "the", "a", "an", "of", "is", "are"} | ABOUT
_ONE_IN_BRACES = re.compile(r"([_^])\{(\w)\}")  # x^{2} is x^2, 12_{5} is 12_5
_OPTION = re.compile(r"\([a-jA-J]\)")  # (B) is B


class Value(NamedTuple):
    """core: without its unit, as it is spelled; noun: what it counts, when that is no known unit;
    words: it is prose, and this is its plain form."""

    core: str
    number: Fraction | None = None
    percent: bool = False
    unit: str | None = None
    noun: str = ""
    label: str = ""
    months: frozenset[int] = frozenset()
    words: str | None = None


def trim(text: str) -> str:
    """Without what surrounds an answer in a sentence."""
    return _CRY.sub("", text).rstrip(EDGES).lstrip(EDGES.replace(".", ""))  # .5 keeps its point


def squeeze(text: str) -> str:
    """For comparison as text: no spaces, no case, no braces around one sign."""
    text = _ONE_IN_BRACES.sub(r"\1\2", "".join(trim(text).split()))
    return (text[1:-1] if _OPTION.fullmatch(text) else text).casefold()


def _plain_words(text: str) -> str:
    """5 hours and 40 minutes: "5 h 40 min"."""
    found = (canonical(word) or word.casefold() for word in _TOKEN.findall(text))
    return " ".join(word.removesuffix("s") or word for word in found if word not in _EMPTY)


def _is_name(text: str) -> bool:
    """Words before a number, as in "Team 5": no letter alone, and nothing of algebra."""
    if not text:
        return True
    whole = _WORDS.fullmatch(text) and not _ALGEBRA.search(text)
    return bool(whole) and not _VARIABLE.fullmatch(text) and "\\" not in text


def _is_noun(text: str, spaced: bool) -> bool:
    """Words behind a number, as in "5 apples": two letters may be a product."""
    if not _WORDS.fullmatch(text) or _ALGEBRA.search(text):
        return False
    first = text.split()[0]
    return not first.isascii() or len(first) > (2 if spaced else 3)


def _around_number(text: str) -> Value | None:
    found = list(_LITERAL.finditer(text))
    if not found or (len(found) > 1 and not unit_of(text[found[0].end() :])):
        return None
    literal = found[0]
    label, after = text[: literal.start()].strip(" :,."), text[literal.end() :]
    number = value(literal[0].strip())
    if number is None or not _is_name(label):
        return None
    spaced = after[:1].isspace() or "%" in literal[0]
    if after[:1] == "/" and len(after) > 3:  # 7600/month
        spaced, after = True, after[1:]
    unit, after = unit_of(after, spaced), after.strip(" .,")
    if after and unit is None and not _is_noun(after, spaced):
        return None
    months = frozenset(months_in(f"{label} {after}"))
    label = " ".join(word for word in label.casefold().split() if word not in ABOUT)
    percent = "%" in literal[0] or unit == "percent"
    noun = "" if unit else _plain_words(after)
    return Value(literal[0], number, percent, unit, noun, label, months)


def _without_unit(text: str) -> Value:
    """An expression with a unit behind it: 5\\sqrt{2} m/s."""
    parts = text.split(" ")
    for count in range(min(4, len(parts) - 1), 0, -1):
        core, unit = " ".join(parts[:-count]), " ".join(parts[-count:])
        if (found := unit_of(unit)) and not core.endswith(tuple("+-*/^=(,_")):
            letter = len(unit.strip()) == 1 and _VARIABLE.search(_NAMED.sub("", core))
            return (
                Value(text)
                if letter or (core[-1:].isalpha() and "\\" not in core)
                else (Value(core, unit=found))
            )
    return Value(text)


def is_compound(text: str) -> bool:
    """5 hours 40 minutes: several numbers that are one value."""
    found = list(_LITERAL.finditer(text))
    if not 2 <= len(found) <= 4:
        return False
    ends = [each.start() for each in found[1:]] + [len(text)]
    gaps = [text[each.end() : end] for each, end in zip(found, ends, strict=True)]
    units = [canonical(gap.strip(" .,;").removesuffix("and").strip(" .,;")) for gap in gaps]
    return not text[: found[0].start()].strip() and all(unit in COMPOUND for unit in units)


@lru_cache(maxsize=4096)
def read(text: str) -> Value:
    """Of one spelled item."""
    text = trim(text)
    if (number := value(text)) is not None:
        return Value(text, number, "%" in text)
    if BOUND.search(text) or NEGATION.search(text.casefold()) or is_compound(text):
        return Value(text, words=_plain_words(text))
    if found := _around_number(text):
        return found
    if _WORDS.fullmatch(text) and len(text) > 2:
        return Value(text, words=_plain_words(text))
    return _without_unit(text)
