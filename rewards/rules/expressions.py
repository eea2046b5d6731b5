r"""Which answers are formulas, and their spelling in LaTeX, bounded before any algebra sees them.

    formula("2*sqrt(3)")      # "2 \cdot \sqrt{3}"
    formula("I do not know")  # None
    formula("9^{9^{9^9}}")    # None: too large to be computed

Left out on purpose: parsing. mathpool.py hands the LaTeX to Math-Verify in a child process.
"""

import re

LONGEST_FORMULA = 300  # characters
MOST_DIGITS = 60  # of one number
DEEPEST = 9  # brackets in brackets; the parser's time grows fast with them

_FENCED = re.compile(
    r"\$\$([^$]+)\$\$|\$([^$]+)\$"
    r"|\\\(((?:[^\\]|\\[^()])+)\\\)|\\\[((?:[^\\]|\\[^\[\]])+)\\\]"
)
_NAMES = r"sqrt|pi|infty|theta|alpha|beta|sin|cos|tan|cot|sec|csc|arcsin|arccos|arctan|log|ln|exp"
_BARE_NAME = re.compile(rf"(?<![\\A-Za-z])(?:{_NAMES})(?![A-Za-z])")
_COMMAND = re.compile(r"\\(?:begin|end|text)\s*\{[^{}]*\}|\\[A-Za-z]+")
_UPRIGHT = re.compile(r"\\(?:mathrm|mathbf|mathbb|operatorname)\s*\{([^{}]*)\}")
_DOLLAR = re.compile(r"\\?\$")
_WORD = re.compile(r"[A-Za-z]{4,}")
_MATH = re.compile(r"[0-9+*/^=<>\\\[\](){}|!-]")
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

_SIGNS = {
    **{"−": "-", "–": "-", "×": r" \cdot ", "·": r" \cdot ", "⋅": r" \cdot ", "÷": "/"},
    **{"π": r"\pi ", "√": r"\sqrt", "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne "},
    **{"∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "±": r"\pm ", "°": r"^\circ", "²": "^2"},
    **{"³": "^3", "½": r"\frac{1}{2}", "<=": r"\le ", ">=": r"\ge ", "**": "^", "\n": " "},
}
_SIGN = re.compile("|".join(re.escape(sign) for sign in sorted(_SIGNS, key=len, reverse=True)))
_CALLED = re.compile(r"\\sqrt\s*\(([^()]*)\)|\^\s*\(([^()]*)\)")


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


def is_unfinished(text: str) -> bool:
    """Sums and products of plain numbers: who copies the question `3+4` has not answered it."""
    return bool(_ARITHMETIC.fullmatch(text.strip()))


def last_fenced(text: str) -> str | None:
    r"""The last `$...$`, `\(...\)` or `\[...\]` within the last characters that are looked at."""
    found = [next(filter(None, groups), "") for groups in _FENCED.findall(text[-LONGEST_FORMULA:])]
    return found[-1] if found else None


def formula(text: str) -> str | None:
    """LaTeX without fences; None for prose, and for what no algebra should be asked about."""
    text = last_fenced(text) or text
    if len(text) > LONGEST_FORMULA:
        return None
    text = _DOLLAR.sub("", _UPRIGHT.sub(r"\1", text)).strip(" \t\r\n.,;:")
    text = _SIGN.sub(lambda match: _SIGNS[match[0]], text)
    text = _BARE_NAME.sub(lambda match: f"\\{match[0]} ", text).replace("*", r" \cdot ")
    text = _CALLED.sub(_braced, re.sub(r"\s+", " ", text))
    if not _is_formula(text) or _BASE.search(text) or not _is_bounded(text):
        return None
    return text.strip()
