r"""Sets of numbers that are spelled as intervals or as inequalities, in one form.

    intervals_of(read_statement("0 < x \le 5"))        # [Interval("(", "0", "5", "]")], of x
    intervals_of(read_statement(r"x < 1 \text{ or } x > 4"))
    # [Interval("(", r"-\infty", "1", ")"), Interval("(", "4", r"\infty", ")")], of x

Left out: inequalities that must be solved first; algebra is asked about those.
"""

from typing import NamedTuple

from rewards.rules.maths.brackets import bracketed, union_of
from rewards.rules.maths.numbers import value
from rewards.rules.maths.statement import Item, Statement, is_closed, is_name

LOW, HIGH = r"-\infty", r"\infty"
_ALL = {r"\mathbb{r}", r"\mathbbr", "allreals", "allrealnumbers", "全体实数", "实数集"}
_TURNED = {"<": ">", ">": "<", "≤": "≥", "≥": "≤"}


class Interval(NamedTuple):
    left: str  # "(" or "["
    low: str
    high: str
    right: str  # ")" or "]"


class Intervals(NamedTuple):
    """unknown: the one that an inequality is about; None when the set is written as a set."""

    parts: tuple[Interval, ...]
    unknown: str | None


def upwards(item: Item) -> Item:
    """With the smaller side first; an item of signs of both kinds stays as it is."""
    if item.signs and set(item.signs) <= {">", "≥"}:
        return Item(item.sides[::-1], tuple(_TURNED[sign] for sign in item.signs[::-1]))
    return item


def written(text: str) -> list[Interval] | None:
    """Of `[1, 2) \\cup (4, \\infty)`; None for what is no set of numbers."""
    found = []
    for part in union_of(text):
        if part.replace(" ", "").casefold() in _ALL:
            found.append(Interval("(", LOW, HIGH, ")"))
            continue
        brackets = bracketed(part)
        if brackets is None or len(brackets.parts) != 2 or brackets.kind[0] not in "([":
            return None
        low, high = (_infinite(each) for each in brackets.parts)
        found.append(Interval(brackets.kind[0], low, high, brackets.kind[1]))
    return found


def _infinite(text: str) -> str:
    plain = text.replace(" ", "")
    return {"+\\infty": HIGH, "\\infty": HIGH, "-\\infty": LOW}.get(plain, text)


def _solved(item: Item) -> tuple[str, list[Interval]] | None:
    """Of `x < 5`, `2 \\le x < 5`, `x \\ne 5`, with closed bounds."""
    item = upwards(item)
    sides, signs = item.sides, item.signs
    if signs == ("∈",) and is_name(sides[0]):
        found = written(sides[1])
        return (sides[0], found) if found else None
    if signs == ("≠",) and is_name(sides[0]) and is_closed(sides[1]):
        both = [Interval("(", LOW, sides[1], ")"), Interval("(", sides[1], HIGH, ")")]
        return sides[0], both
    if not signs or not set(signs) <= {"<", "≤"} or len(signs) > 2 or not all(sides):
        return None
    left, right = ("(" if signs[0] == "<" else "["), (")" if signs[-1] == "<" else "]")
    if len(signs) == 2:
        whole = is_name(sides[1]) and is_closed(sides[0]) and is_closed(sides[2])
        bounded = Interval(left, _infinite(sides[0]), _infinite(sides[2]), right)
        return (sides[1], [bounded]) if whole else None
    if is_name(sides[0]) and is_closed(sides[1]):
        return sides[0], [Interval("(", LOW, sides[1], right)]
    if is_name(sides[1]) and is_closed(sides[0]):
        return sides[1], [Interval(left, sides[0], HIGH, ")")]
    return None


def _both(a: Interval, b: Interval) -> Interval | None:
    """`x > 1, x < 4` is (1, 4); None where nothing is in both, or it cannot be seen."""
    low, high = (a, b) if a.high == HIGH and b.low == LOW else (b, a)
    if low.high != HIGH or high.low != LOW or LOW in (low.low, high.high):
        return None
    bottom, top = value(low.low), value(high.high)
    empty = bottom is not None and top is not None and bottom >= top
    return None if empty else Interval(low.left, low.low, high.high, high.right)


def intervals_of(statement: Statement) -> Intervals | None:
    """None: the statement is no set of numbers, or not one that is seen without algebra."""
    if len(statement.items) == 1 and (only := statement.items[0]).value is not None:
        found = written(only.value)
        return Intervals(tuple(found), only.name) if found else None
    solved = [_solved(item) for item in statement.items]
    if not solved or None in solved:
        return None
    names = {each[0] for each in solved if each}
    parts = [part for each in solved if each for part in each[1]]
    if len(names) != 1:
        return None
    if len(parts) == 2 and statement.joins and statement.joins[0] in (",", "and", "和"):
        met = _both(*parts)
        parts = [met] if met else parts
    return Intervals(tuple(parts), names.pop())
