r"""When two statements are equal: by text, by number, part by part, and by algebra if need be.

    asker = ByNumber()
    equal(read_statement("x = 2, y = 3"), read_statement("(x, y) = (2, 3)"), asker)  # True

The gold one comes first: `x = 5` is answered by 5, an equation is not answered by its right side.
The same code runs here, with numbers and texts alone, and in the child processes, with algebra.
Left out: algebra itself (`algebra`).
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from rewards.rules.maths.brackets import bracketed, union_of
from rewards.rules.maths.expressions import formula
from rewards.rules.maths.intervals import Interval, Intervals, intervals_of, upwards, written
from rewards.rules.maths.quantity import Value, read, squeeze
from rewards.rules.maths.statement import Item, Statement, is_closed

_INDEX = re.compile(r"_\{?[0-9]\}?$")
DEEPEST = 8  # brackets in brackets


class Asker(Protocol):
    """Decides about what is neither equal as text nor a pair of numbers."""

    def value(self, gold: str, answer: str) -> bool: ...

    def relation(self, gold: Item, answer: Item) -> bool: ...

    def near(self, exact: str, rounded: str) -> bool: ...


class ByNumber:
    """Knows no algebra. open: something was asked that algebra may decide otherwise."""

    def __init__(self) -> None:
        self.open = False

    def value(self, gold: str, answer: str) -> bool:
        self.open = self.open or (formula(gold) is not None and formula(answer) is not None)
        return False

    def relation(self, gold: Item, answer: Item) -> bool:
        self.open = True
        return False

    def near(self, exact: str, rounded: str) -> bool:
        return self.value(exact, rounded)


class _Claim(NamedTuple):
    """A value, of a name or of none; or else a relation."""

    name: str | None
    value: str | None
    item: Item


def _same_quantity(gold: Value, answer: Value) -> bool | None:
    """None: not both are numbers."""
    if gold.number is None or answer.number is None:
        return None
    if gold.months and gold.months != answer.months:
        return False
    if gold.label and answer.label and gold.label.split()[-1] != answer.label.split()[-1]:
        return False
    if gold.unit and answer.unit and gold.unit != answer.unit:
        return False
    if gold.number == answer.number:
        return True
    hundredth = {gold.percent: gold.number, answer.percent: answer.number}
    return len(hundredth) == 2 and hundredth[True] == 100 * hundredth[False]


def _pairs(gold: Sequence, answer: Sequence, same: Callable) -> bool:
    """In any order."""
    left = list(answer)
    for one in gold:
        found = next((at for at, other in enumerate(left) if same(one, other)), None)
        if found is None:
            return False
        left.pop(found)
    return not left


def same_value(gold: str, answer: str, asker: Asker, depth: int = 0) -> bool:
    if squeeze(gold) and squeeze(gold) == squeeze(answer):
        return True
    if depth > DEEPEST or not gold.strip() or not answer.strip():
        return False
    inside = _same_parts(gold, answer, asker, depth)
    if inside is not None:
        return inside
    ours, theirs = read(gold), read(answer)
    known = _same_quantity(ours, theirs)
    if known is not None:
        return known
    if ours.words is not None or theirs.words is not None:
        return ours.words is not None and ours.words == theirs.words
    if ours.unit and theirs.unit and ours.unit != theirs.unit:
        return False
    if len(gold) > 1 and gold.isalpha() and answer.isalpha():
        return False  # "on" and "no" are words, and no products
    if (ours.unit or theirs.unit) and squeeze(ours.core) == squeeze(theirs.core):
        return True
    return asker.value(ours.core, theirs.core)


def _same_parts(gold: str, answer: str, asker: Asker, depth: int) -> bool | None:
    """Of brackets, matrices and unions; None where there are none on both sides."""
    sets = union_of(gold), union_of(answer)
    if len(sets[0]) > 1 and len(sets[1]) > 1:
        return _pairs(*sets, lambda a, b: same_value(a, b, asker, depth + 1))
    ours, theirs = bracketed(gold), bracketed(answer)
    if ours is None or theirs is None:
        alone = ours or theirs
        if alone and alone.kind == "()" and len(alone.parts) == 1:
            inner = (ours.parts[0], answer) if ours else (gold, alone.parts[0])
            return same_value(*inner, asker, depth + 1)
        whole = alone and len(alone.parts) > 1 and alone.kind != "matrix"
        return False if whole and len(sets[0]) == len(sets[1]) else None
    if len(ours.parts) == 1 == len(theirs.parts) and "{}" not in (ours.kind, theirs.kind):
        return same_value(ours.parts[0], theirs.parts[0], asker, depth + 1)
    longer = len(ours.parts) > 2 and {ours.kind, theirs.kind} <= {"()", "[]"}  # no intervals
    if ours.columns != theirs.columns or not (ours.kind == theirs.kind or longer):
        return False

    def same(one: str, other: str) -> bool:
        return same_value(one, other, asker, depth + 1)

    if ours.kind == "{}":
        return _pairs(_distinct(ours.parts), _distinct(theirs.parts), same)
    return len(ours.parts) == len(theirs.parts) and all(map(same, ours.parts, theirs.parts))


def _distinct(parts: Sequence[str]) -> list[str]:
    return list({squeeze(part): part for part in parts}.values())


def _both_signs(text: str) -> list[str]:
    r"""`3 \pm \sqrt2` is two values."""
    if text.count("\\pm") != 1 or text.count("\\mp"):
        return [text]
    head, _, tail = text.partition("\\pm")
    return [f"{head}+{tail}" if head.strip() else tail.strip(), f"{head}-{tail.strip()}"]


def _claims_of(item: Item) -> list[_Claim]:
    name, value = item.name, item.value
    if value is None and item.signs == ("∈",):
        name, value = item.sides
        if not ((inside := bracketed(value)) and inside.kind == "{}"):
            return [_Claim(None, None, item)]
    if value is None:
        return [_Claim(None, None, item)]
    names, inside = bracketed(name or ""), bracketed(value)
    if names and inside and len(names.parts) == len(inside.parts) > 1:
        pairs = zip(names.parts, inside.parts, strict=True)
        return [_Claim(one, part, Item((one, part), ("=",))) for one, part in pairs]
    if inside and inside.kind == "{}" and inside.parts and "|" not in value:
        return [_Claim(name, part, Item((part,), ())) for part in inside.parts]
    return [_Claim(name, part, item) for part in _both_signs(value)]


def _claims(statement: Statement) -> list[_Claim]:
    """Each one once; a value without a name has the name of the first: `x = 1, -2`."""
    found: list[_Claim] = []
    for item in statement.items:
        for claim in _claims_of(item):
            if claim.value is not None and claim.name is None and found:
                claim = claim._replace(name=found[0].name)
            found.append(claim)
    once = {(each.name, squeeze(each.value or str(each.item))): each for each in found}
    return list(once.values())


def _same_name(gold: str, answer: str) -> bool:
    """y = 2x and f(x) = 2x are one function."""
    ours, theirs = squeeze(gold), squeeze(answer)
    if theirs in (ours, _INDEX.sub("", ours)) or ours == _INDEX.sub("", theirs):
        return True  # x_1 = 3, x_2 = 5 are what x is
    return {ours[:2], theirs[:2]} == {"y", "f("}


def _is_set(claim: _Claim) -> bool:
    return claim.value is not None and written(claim.value) is not None


def _is_bound(claim: _Claim) -> bool:
    return claim.value is None and set(claim.item.signs) <= set("<>≤≥")


def _is_rounded(gold: _Claim, answer: _Claim, asker: Asker) -> bool:
    """`\\sqrt{2} \\approx 1.41` states the root, when that is about 1.41."""
    if answer.item.signs[-1:] != ("≈",):
        return False
    exact, rounded = answer.item.sides[-2:]
    return (
        exact != answer.name
        and same_value(gold.value or "", exact, asker)
        and asker.near(exact, rounded)
    )


def _same_claim(gold: _Claim, answer: _Claim, asker: Asker) -> bool:
    if gold.value is not None and answer.value is not None:
        named = gold.name is not None and answer.name is not None
        if named and not _same_name(gold.name or "", answer.name or ""):
            closed = is_closed(gold.value) or is_closed(answer.value)
            return not closed and asker.relation(gold.item, answer.item)
        if same_value(gold.value, answer.value, asker) or _is_rounded(gold, answer, asker):
            return True
        return bool(named) and not is_closed(gold.value) and asker.relation(gold.item, answer.item)
    if (_is_set(gold) and _is_bound(answer)) or (_is_set(answer) and _is_bound(gold)):
        return asker.relation(gold.item, answer.item)
    if gold.value is not None and (gold.name is None or is_closed(gold.value)):
        return False  # 2x = 10 has not answered x = 5
    if answer.value is not None and answer.name is None:
        return False  # the bare right side of an equation
    ours, theirs = upwards(gold.item), upwards(answer.item)
    if ours.signs == theirs.signs and len(ours.sides) == len(theirs.sides):
        turned = (
            [theirs.sides, theirs.sides[::-1]] if set(ours.signs) <= {"=", "≠"} else [theirs.sides]
        )
        for sides in turned:
            if all(squeeze(a) == squeeze(b) for a, b in zip(ours.sides, sides, strict=True)):
                return True
    return asker.relation(gold.item, answer.item)


def _same_noun(gold: _Claim, answer: _Claim) -> bool:
    nouns = {read(each.value).noun for each in (gold, answer) if each.value}
    return len(nouns - {""}) < 2


def _same_sets(gold: Intervals, answer: Intervals, asker: Asker) -> bool:
    if gold.unknown and answer.unknown and squeeze(gold.unknown) != squeeze(answer.unknown):
        return False

    def same(a: Interval, b: Interval) -> bool:
        ends = (a.left, a.right) == (b.left, b.right)
        return ends and same_value(a.low, b.low, asker) and same_value(a.high, b.high, asker)

    return _pairs(gold.parts, answer.parts, same)


def _in_order(values: Sequence[str], claims: Sequence[_Claim], asker: Asker) -> bool:
    pairs = zip(values, claims, strict=False)
    return len(values) == len(claims) and all(
        each.value is not None and same_value(value, each.value, asker) for value, each in pairs
    )


def _by_name(gold: Sequence[_Claim], answer: Sequence[_Claim], asker: Asker) -> bool | None:
    """For values of several names: x = 2, y = 3. None where that is not what is compared."""
    ours, theirs = ({each.name for each in claims} for claims in (gold, answer))
    if None not in ours and len(ours) > 1 and theirs == {None}:
        inside = bracketed(answer[0].value or "") if len(answer) == 1 else None
        values = list(inside.parts) if inside else [each.value or "" for each in answer]
        return _in_order(values, gold, asker)
    if ours == {None} and None not in theirs and len(theirs) > 1 and len(gold) == 1:
        inside = bracketed(gold[0].value or "")
        return bool(inside) and _in_order(inside.parts if inside else (), answer, asker)
    return None


def equal(gold: Statement, answer: Statement, asker: Asker) -> bool:
    """Whether the answer says what the gold statement says."""
    if not gold.items or not answer.items:
        return False
    if squeeze(gold.text) == squeeze(answer.text):
        return bool(squeeze(gold.text))
    wanted, given = intervals_of(gold), intervals_of(answer)
    if wanted and given and _same_sets(wanted, given, asker):
        return True
    ours, theirs = _claims(gold), _claims(answer)
    named = _by_name(ours, theirs, asker)
    if named is not None:
        return named
    if len(ours) > 1:  # 3 red, 5 blue
        return _pairs(ours, theirs, lambda a, b: _same_noun(a, b) and _same_claim(a, b, asker))
    return len(ours) == len(theirs) and _same_claim(ours[0], theirs[0], asker)
