r"""What a program printed against what it should have printed.

    same_output("0.5 1\n", ".50  1")  # True

Left out on purpose: problems with several right answers, which need a checker of their own.
"""

import math
import re
from decimal import Decimal

TOLERANCE = 1e-6  # relative, where the expected number has a point or an exponent
MOST_DIGITS = 400
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_INTEGER = re.compile(r"[+-]?[0-9]+")


def close(value: float, expected: float) -> bool:
    """An infinity is near to nothing but itself."""
    try:
        return value == expected or math.isclose(
            value, expected, rel_tol=TOLERANCE, abs_tol=TOLERANCE / 1000
        )
    except OverflowError:  # an integer beyond every float
        return False


def _same_token(printed: str, expected: str) -> bool:
    if printed == expected:
        return True
    longest = max(len(printed), len(expected))
    numbers = _NUMBER.fullmatch(printed) and _NUMBER.fullmatch(expected)
    if longest > MOST_DIGITS or not numbers:
        return False
    if _INTEGER.fullmatch(printed) and _INTEGER.fullmatch(expected):
        return printed.lstrip("+") == expected.lstrip("+")  # 007 is not 7: zeros are on purpose
    a, b = float(printed), float(expected)
    if _INTEGER.fullmatch(expected) or math.isinf(a) or math.isinf(b):
        return Decimal(printed) == Decimal(expected)  # an integer is exact, however it is printed
    return close(a, b)


def same_output(printed: str, expected: str) -> bool:
    """Line by line without regard to spacing and blank lines; 0.50 is .5, and 1e3 is 1000."""
    mine, theirs = (
        [line for line in text.splitlines() if line.strip()] for text in (printed, expected)
    )
    if len(mine) != len(theirs):
        return False
    for a, b in zip(mine, theirs, strict=True):
        left, right = a.split(), b.split()
        if left != right and (len(left) != len(right) or not all(map(_same_token, left, right))):
            return False
    return True
