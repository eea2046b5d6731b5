r"""Whether two formulas are equal: by their values at a few points, else by Math-Verify.

    asker = ByAlgebra()
    asker.value(r"\frac{1}{\sqrt{2}}", r"\frac{\sqrt{2}}{2}")  # True

Runs in the child processes of `mathpool` only. Values are compared relatively, to 50 digits: by
itself Math-Verify takes all numbers below 1e-15 for zero, and two equations without a solution for
equal. A decimal equals a root to six digits. Left out: intervals (`intervals`).
"""

from functools import lru_cache
from typing import Any

from rewards.rules.maths.expressions import formula, is_unfinished
from rewards.rules.maths.numbers import value
from rewards.rules.maths.statement import Item

DIGITS = 60
TOLERANCE = "1e-50"  # relative
ROUNDED, ROUNDED_RELATIVELY = "5e-7", "1e-5"
ABOUT = 0.01  # relatively: what is rounded to two digits
_POINTS = ((7, 3), (-11, 7), (13, 19))  # three, far from zeros and from one another
_LATEX = {"≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "≈": "=", "∈": r"\in "}
_TURNED = {"<": ">", ">": "<", "≤": "≥", "≥": "≤"}


@lru_cache(maxsize=512)  # every response to a prompt is compared with the same reference
def parsed(latex: str) -> Any:
    """An expression of sympy's, None when it cannot be read."""
    from latex2sympy2_extended import NormalizationConfig, latex2sympy
    from latex2sympy2_extended.math_normalization import normalize_latex

    config = NormalizationConfig(malformed_operators=True, boxed="none")
    try:
        text = normalize_latex(latex, config)
        return latex2sympy(text, is_real=True, normalization_config=None)
    except Exception:
        return None


def _exactly(found: Any) -> tuple[Any, bool]:
    """With decimals as fractions; whether there were any."""
    from sympy import Float, I, Rational

    floats = {each: Rational(str(each)) for each in found.atoms(Float)}
    imaginary = {each: I for each in found.free_symbols if each.name == "i"}
    return found.xreplace({**floats, **imaginary}), bool(floats)


def _at(found: Any, point: int, names: list[str]) -> Any:
    """The value where every unknown has a number of its own; None when there is none."""
    from sympy import Rational, nan, oo, zoo

    values = {}
    for symbol in found.free_symbols:
        shift = names.index(symbol.name) + 1
        top, bottom = _POINTS[point]
        values[symbol] = Rational(top * shift * shift + shift, bottom + shift)
    number = found.xreplace(values).doit()
    if number.is_Rational:
        return number
    number = number.evalf(DIGITS)
    return number if number.is_number and not number.has(nan, oo, -oo, zoo) else None


def _near(a: Any, b: Any, rounded: bool) -> bool | None:
    """None: both vanish, and nothing can be said relatively."""
    from sympy import Abs, Float

    if a.is_Rational and b.is_Rational:
        return bool(a == b)
    gap, size = Abs(a - b).evalf(DIGITS), max(Abs(a).evalf(DIGITS), Abs(b).evalf(DIGITS))
    if size < Float("1e-45"):
        return None
    if rounded:
        return bool(gap <= Float(ROUNDED) and gap <= Float(ROUNDED_RELATIVELY) * size)
    return bool(gap <= Float(TOLERANCE) * size)


def _names(*found: Any) -> list[str]:
    return sorted({symbol.name for each in found for symbol in each.free_symbols})


def _numeric(gold: Any, answer: Any) -> bool | None:
    """None: their values cannot be had, or say nothing."""
    from sympy import Expr

    if not isinstance(gold, Expr) or not isinstance(answer, Expr):
        return None
    try:
        (gold, ours), (answer, theirs) = _exactly(gold), _exactly(answer)
        names = _names(gold, answer)
        said = []
        for point in range(len(_POINTS) if names else 1):
            a, b = _at(gold, point, names), _at(answer, point, names)
            said.append(_near(a, b, ours or theirs) if a is not None and b is not None else None)
    except Exception:
        return None
    if False in said:
        return False
    return True if all(said) else None


def _ratio(gold: Any, answer: Any) -> Any:
    """The constant by which one difference of sides is the other's multiple, if there is one."""
    from sympy import fraction, together

    ours, theirs = (fraction(together(_exactly(each)[0]))[0] for each in (gold, answer))
    names = _names(ours, theirs)
    if not names or _names(ours) != _names(theirs):
        return None
    found = []
    for point in range(len(_POINTS)):
        a, b = _at(ours, point, names), _at(theirs, point, names)
        if a is None or b is None or (a == 0) != (b == 0):
            return None
        found += [a / b] if b else []  # both vanish where the point lies on the line
    same = len(found) > 1 and all(_near(found[0], each, False) for each in found[1:])
    return found[0] if same else None


def is_verified(gold: Any, answer: Any) -> bool:
    """By Math-Verify, and by nothing else; asked about sets and inequalities both ways."""
    from math_verify import verify
    from sympy import FiniteSet, Interval, Set

    if isinstance(gold, Set) and isinstance(answer, Set):
        if isinstance(gold, FiniteSet) != isinstance(answer, FiniteSet):
            return False  # an open interval is not its two ends
        if isinstance(gold, Interval) != isinstance(answer, Interval) and not gold.is_subset(
            answer
        ):
            return False
    said = verify([gold], [answer], allow_set_relation_comp=True, timeout_seconds=None)
    return bool(said)


def _joined(item: Item) -> str | None:
    sides = [formula(side) for side in item.sides]
    if None in sides:
        return None
    signs = [_LATEX.get(sign, sign) for sign in item.signs]
    return str(sides[0]) + "".join(f" {a} {b}" for a, b in zip(signs, sides[1:], strict=True))


class ByAlgebra:
    """An Asker of `equal`."""

    def value(self, gold: str, answer: str) -> bool:
        texts = formula(gold), formula(answer)
        if texts[0] is None or texts[1] is None:
            return False
        if value(gold) is not None and is_unfinished(answer):
            return False
        ours, theirs = parsed(texts[0]), parsed(texts[1])
        if ours is None or theirs is None:
            return False
        known = _numeric(ours, theirs)
        return is_verified(ours, theirs) if known is None else known

    def near(self, exact: str, rounded: str) -> bool:
        ours, theirs = parsed(formula(exact) or ""), parsed(formula(rounded) or "")
        try:
            return bool(abs(ours - theirs).evalf() <= ABOUT * abs(ours).evalf())
        except Exception:
            return False

    def relation(self, gold: Item, answer: Item) -> bool:
        if len(gold.signs) == len(answer.signs) == 1:
            known = self._scaled(gold, answer)
            if known is not None:
                return known
        texts = _joined(gold), _joined(answer)
        if texts[0] is None or texts[1] is None or "≠" in gold.signs + answer.signs:
            return False
        ours, theirs = parsed(texts[0]), parsed(texts[1])
        return ours is not None and theirs is not None and is_verified(ours, theirs)

    def _scaled(self, gold: Item, answer: Item) -> bool | None:
        """Both have one sign: they are equal when one is a multiple of the other."""
        texts = [formula(side) for side in (*gold.sides, *answer.sides)]
        if "∈" in gold.signs + answer.signs or None in texts:
            return None
        try:
            a, b, c, d = (parsed(text or "") for text in texts)
            ratio = _ratio(a - b, c - d)
        except Exception:
            return None
        ours, theirs = ({"≈": "="}.get(item.signs[0], item.signs[0]) for item in (gold, answer))
        if ratio is None or ours in "=≠" or theirs in "=≠":
            return ratio is not None and ours == theirs
        turned = _TURNED[theirs] if ratio.is_negative else theirs
        return bool(ours == turned)
