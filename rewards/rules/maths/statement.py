r"""What an answer says, as a list of items, each with its sides: `x = 2 \text{ or } x = -2` is two.

    read_statement(r"x = 12/4 = 3").items[0].name   # "x"
    read_statement(r"x = 12/4 = 3").items[0].value  # "3"
    read_statement("x^2 + y^2 = 25").items[0].value # None: an equation is what it says, whole

A cut at `=` is right behind one name, behind `f(2)` and behind arithmetic (6*7 = 42) alone. Left
out: what a value is (`quantity`), and whether two statements are equal (`equal`).
"""

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from rewards.rules.maths.brackets import bracketed, cut, outside
from rewards.rules.maths.numbers import value
from rewards.rules.maths.quantity import is_compound, read, trim
from rewards.rules.maths.spelling import spell
from rewards.rules.maths.units import canonical

MOST_ITEMS = 32
EQUALS = {"=", "≈"}
_GREEK = r"alpha|beta|gamma|delta|epsilon|theta|lambda|mu|omega|phi|varphi|rho|sigma|tau|psi|Delta"
_ARGUMENT = r"(?:[-+]?[0-9./]+|[A-Za-z]{1,3}|\\[A-Za-z]+)"
_NAME = re.compile(
    rf"(?:m\s?)?\\(?:measured)?angle\s?\{{?[A-Z]{{1,3}}\}}?|\\overline\s?\{{[A-Z]{{2}}\}}|\|[A-Z]{{2}}\|"
    rf"|(?:[A-Z]{{2,4}}|(?![ie](?![A-Za-z_(']))[A-Za-z]|\\(?:{_GREEK})|[A-Za-z]{{4,}}(?:\s[A-Za-z]+){{0,5}})"
    rf"'{{0,3}}(?:_(?:\w|\{{[^{{}}]*\}}))?'{{0,3}}"
)
_CALL = re.compile(
    rf"[A-Zfghpqrsuv]'{{0,3}}(?:_(?:\w|\{{[^{{}}]*\}}))?(?:\^\{{-1\}})?'{{0,3}}\s?"
    rf"\(\s?{_ARGUMENT}(?:\s?[,|]\s?{_ARGUMENT}){{0,3}}\s?\)|[PEV]\s?\([^()=]{{1,40}}\)"
)
_COMMAND = re.compile(r"\\(?:begin|end)\s?\{[a-z]*\}|\\[A-Za-z]+")
_SET_OF = re.compile(  # {x | x > 4} is x > 4
    r"\\\{\s?([A-Za-z])(?:\s?∈\s?(?:\\mathbb\s?\{R\}|R))?\s?[|:]\s?([^{}|]*\1[^{}|]*[<>≤≥≠][^{}|]*|[^{}|]*[<>≤≥≠][^{}|]*\1[^{}|]*)\\\}"
)
_UNKNOWN = re.compile(r"(?<![A-Za-z])(?!e(?![A-Za-z]))[A-Za-z]{1,3}(?![A-Za-z])")


class Item(NamedTuple):
    """Sides and the signs between them; one side where there is no sign."""

    sides: tuple[str, ...]
    signs: tuple[str, ...]

    @property
    def name(self) -> str | None:
        return _named(self)[0]

    @property
    def value(self) -> str | None:
        """What is stated of the name, or of nothing; None for an equation or an inequality."""
        return _named(self)[1]


class Statement(NamedTuple):
    """joins: the words between the items: ",", "or", "and"; number: it is one, and no more."""

    text: str
    items: tuple[Item, ...]
    joins: tuple[str, ...] = ()
    number: Fraction | None = None


def is_name(text: str) -> bool:
    text = text.strip()
    return bool(_NAME.fullmatch(text) or _CALL.fullmatch(text)) and len(text) <= 60


def is_closed(text: str) -> bool:
    """Numbers, signs, functions and words: no unknown."""
    letters = _UNKNOWN.findall(_COMMAND.sub(" ", text))
    unknown = [each for each in letters if len(each) == 1 or not canonical(each)]
    return not unknown or read(text).number is not None


@lru_cache(maxsize=4096)
def _named(item: Item) -> tuple[str | None, str | None]:
    first, last = item.sides[0].strip(), item.sides[-1].strip()
    if not item.signs:
        return None, first
    if not set(item.signs) <= EQUALS or not last:
        return None, None
    if not is_name(first) and is_name(last) and all(map(is_closed, item.sides[:-1])):
        return last, first  # 5 = x
    if is_name(first):
        return first, last
    brackets = bracketed(first)
    if brackets and brackets.kind == "()" and all(map(is_name, brackets.parts)):
        return first, last  # (x, y) = (1, 2)
    return (
        (None, last)
        if all(not side or is_closed(side) for side in item.sides[:-1])
        else (None, None)
    )


def _item(text: str) -> Item:
    signs = outside(text, ("sign",))
    return Item(tuple(cut(text, signs)), tuple(match[0] for match in signs))


def _split(text: str) -> tuple[list[str], list[str]]:
    if is_compound(text):
        return [text], []
    joins = outside(text, ("join",))[:MOST_ITEMS]
    parts = cut(text, joins)
    words = [match[0].strip(",;\\ ").removeprefix("l") or "," for match in joins]
    kept = [at for at, part in enumerate(parts) if part.strip(" .")]
    return [parts[at] for at in kept], [words[at - 1] for at in kept[1:]]


@lru_cache(maxsize=4096)
def read_statement(text: str) -> Statement:
    """Of the source of an answer, as it is written."""
    text = _SET_OF.sub(r"\2", trim(spell(text)))
    if (number := value(text)) is not None:
        return Statement(text, (Item((text,), ()),), (), None if "%" in text else number)
    parts, joins = _split(text)
    return Statement(text, tuple(map(_item, parts)), tuple(joins))
