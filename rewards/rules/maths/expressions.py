r"""Which spelled texts are formulas, and their LaTeX, bounded before any algebra sees them.

    formula("2*sqrt(3)")      # r"2 \cdot \sqrt{3}"
    formula("I do not know")  # None
    formula("9^{9^{9^9}}")    # None: too large to be computed

Left out on purpose: parsing. mathpool.py hands the texts to a child process, which parses them.
"""

import re
from functools import lru_cache

from rewards.rules.maths.numbers import value

LONGEST_FORMULA = 300  # characters
MOST_DIGITS = 60  # of one number
DEEPEST = 9  # brackets in brackets; the parser's time grows fast with them

_NAMES = r"sqrt|pi|infty|theta|alpha|beta|sin|cos|tan|cot|sec|csc|arcsin|arccos|arctan|log|ln|exp"
_BARE_NAME = re.compile(rf"(?<![\\A-Za-z])(?:{_NAMES})(?![A-Za-z])")
_COMMAND = re.compile(r"\\(?:begin|end|text)\s*\{[^{}]*\}|\\[A-Za-z]+")
_WORD = re.compile(r"[A-Za-z]{4,}")
_MATH = re.compile(r"[0-9+*/^=<>\\\[\](){}|!A-Za-z-]")
_TOO_LARGE = re.compile(
    rf"[0-9]{{{MOST_DIGITS + 1},}}"  # one endless number
    r"|\^\s*\{?\s*[-+]?\s*[0-9]{4,}"  # 2^{10000}
    r"|[0-9)}\]]\s*\^[\s{(]*[^{}()^]{0,9}[0-9)}\]]\s*\^"  # 9^{9^9}, but e^{x^2} may be
    r"|\([^()]*[A-Za-z^][^()]*\)\s*\^\s*\{?\s*[0-9]{3,}"  # (x+y)^{100}
    r"|[0-9]{4,}\s*!|!\s*[)}\]]*\s*!"  # 10000!, (9!)!
)
# 4210_5 is a number in base 5, which Math-Verify reads as 4210
_BASE = re.compile(r"[0-9]\s*_\s*\{?\s*[0-9]")
_ARITHMETIC = re.compile(r"(?:[0-9.,+\-*/()\[\]{}\s]|\\(?:cdot|times|div|left|right|[dt]?frac)\b)+")
_CALLED = re.compile(r"\\sqrt\s*\(([^()]*)\)|\^\s*\(([^()]*)\)")
_REPEATING = re.compile(r"[0-9]*\.[0-9]*\\(?:overline|bar|dot)\s?\{?[0-9]{1,30}\}?")
_COMMA = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")  # 1,234; a parser may take it for a list


def _is_formula(text: str) -> bool:
    """Digits, letters and signs; words are prose, and a word alone ("yes") is no product."""
    left = _BARE_NAME.sub(" ", _COMMAND.sub(" ", text))
    return bool(_MATH.search(text)) and not _WORD.search(left)


def _is_bounded(text: str) -> bool:
    depth = deepest = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    return deepest <= DEEPEST and not _TOO_LARGE.search(text)


def _braced(match: re.Match) -> str:
    head = r"\sqrt" if match[1] is not None else "^"
    return f"{head}{{{match[1] if match[1] is not None else match[2]}}}"


def _exact(match: re.Match) -> str:
    number = value(match[0])
    return rf"\frac{{{number.numerator}}}{{{number.denominator}}}" if number else match[0]


def is_unfinished(text: str) -> bool:
    """Sums and products of plain numbers: who copies the question `3+4` has not answered it."""
    return bool(_ARITHMETIC.fullmatch(text.strip()))


@lru_cache(maxsize=4096)
def formula(text: str) -> str | None:
    """LaTeX of a spelled text; None for prose, and for what no algebra should be asked about."""
    if len(text) > LONGEST_FORMULA:
        return None
    text = _REPEATING.sub(_exact, text.strip(" \t\r\n.,;:"))
    text = _BARE_NAME.sub(lambda match: f"\\{match[0]} ", text).replace("*", r" \cdot ")
    text = _CALLED.sub(_braced, _COMMA.sub("", re.sub(r"\s+", " ", text)))
    if not text or not _is_formula(text) or _BASE.search(text) or not _is_bounded(text):
        return None
    return text.strip()
