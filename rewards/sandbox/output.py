r"""What a program printed against what it should have printed.

    same_output("0.5 1\n", ".50  1")  # True

Left out on purpose: problems with several right answers, which need a checker of their own.
"""

import math
import re

TOLERANCE = 1e-6  # relative, where either number has a point or an exponent; integers are exact
MOST_DIGITS = 400
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_INTEGER = re.compile(r"[+-]?[0-9]+")


def close(a: float, b: float) -> bool:
    try:
        return a == b or math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE / 1000)
    except OverflowError:  # an integer beyond every float
        return False


def _same_token(a: str, b: str) -> bool:
    if a == b:
        return True
    if max(len(a), len(b)) > MOST_DIGITS or not (_NUMBER.fullmatch(a) and _NUMBER.fullmatch(b)):
        return False
    if _INTEGER.fullmatch(a) and _INTEGER.fullmatch(b):
        return a.lstrip("+") == b.lstrip("+")  # 007 is not 7: leading zeros are spelled on purpose
    return close(float(a), float(b))


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
