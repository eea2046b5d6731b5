r"""Numbers as people and models spell them: `1,234.50`, `- 3/4`, `\frac{1}{2}`, `1.5 \times 10^3`.

    value("1,234") == value("1234.0") == Fraction(1234)
    value(r"0.\overline{3}") == Fraction(1, 3)

Exact, and bounded in digits. Left out: decimal commas (3,14), words (forty-two), and any
arithmetic: nothing is evaluated.
"""

import re
from fractions import Fraction

LARGEST_EXPONENT = 400
MOST_DIGITS = 400

_PLAIN = r"(?:[0-9]+(?:,[0-9]+)*(?:\.[0-9]+)?|\.[0-9]+)"
_TIMES_TEN = r"\s?(?:\*|x|\\times|\\cdot)\s?10\s?\^\s?"
_EXPONENT = r"(?:[+-]?[0-9]{1,4}|\{\s?[+-]?\s?[0-9]{1,4}\s?\})"
_POWER = rf"(?:[eE][+-]?[0-9]{{1,4}}|{_TIMES_TEN}{_EXPONENT})"
NUMBER = rf"(?:[0-9]+\s[0-9]+/[0-9]+(?![0-9])|{_PLAIN}\s?/\s?{_PLAIN}(?![0-9.])|{_PLAIN}{_POWER}?)"
_SIGNED = re.compile(rf"([-+]?)\s?({NUMBER})\s?(%?)")
_GROUPED = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?")
_DECIMAL = re.compile(r"[0-9]*\.?[0-9]+\.?")
_SPACED = re.compile(r"[0-9]{1,3}(?:\s[0-9]{3})+")  # 12 000
_POWER_PARTS = re.compile(rf"({_PLAIN})(?:[eE]|{_TIMES_TEN})\{{?\s?([+-]?)\s?([0-9]+)\s?\}}?")
_FRACTION = re.compile(
    r"\\frac\s?\{\s?([-+]?)\s?([0-9.,]+)\s?\}\s?\{\s?(-?)\s?([0-9.,]+)\s?\}(?!\s?[0-9])"
)
_TWO_SIGNS = re.compile(r"^(?:-\s?-|\+\s?(?=[-+])|(-)\s?\+)")  # before and in a fraction
_REPEATING = re.compile(
    r"([-+]?)\s?([0-9]*)\.([0-9]*)\\(?:overline|bar|dot)\s?\{?([0-9]{1,30})\}?(?![0-9])"
)


def _plain(text: str) -> Fraction | None:
    if "," in text:
        if not _GROUPED.fullmatch(text):
            return None
        text = text.replace(",", "")
    return Fraction(text) if len(text) <= MOST_DIGITS and _DECIMAL.fullmatch(text) else None


def _scaled(text: str) -> Fraction | None:
    parts = _POWER_PARTS.fullmatch(text)
    if parts is None:
        return _plain(text)
    number, exponent = _plain(parts[1]), int(parts[2] + parts[3])
    if number is None or abs(exponent) > LARGEST_EXPONENT:
        return None
    return number * Fraction(10) ** exponent


def _unsigned(body: str) -> Fraction | None:
    whole, _, rest = body.partition(" ") if re.match(r"[0-9]+\s[0-9]+/", body) else ("0", "", body)
    if "/" in rest:
        top, bottom = (_plain(part.strip()) for part in rest.split("/", 1))
        found = None if top is None or not bottom else top / bottom
    else:
        found = _scaled(rest)
    start = _plain(whole)
    return None if found is None or start is None else start + found


def _as_slash(match: re.Match) -> str:
    before = match.string[: match.start()].rstrip()
    mixed = before[-1:].isdigit() and not match[1]
    sign = match[1] if not match[3] else "" if match[1] == "-" else "-"
    return f"{' ' if mixed else ''}{sign}{match[2]}/{match[4]}"


def _repeating(match: re.Match) -> Fraction:
    sign, whole, fixed, cycle = match.groups()
    scale = 10 ** len(fixed)
    tail = Fraction(int(cycle), scale * (10 ** len(cycle) - 1))
    found = Fraction(int((whole + fixed) or "0"), scale) + tail
    return -found if sign == "-" else found


def value(text: str) -> Fraction | None:
    """The exact value of a text that is one number; None for any other: 1/0, 1,23, 3+4, 2x."""
    if text.isdecimal() and text.isascii() and len(text) <= MOST_DIGITS:
        return Fraction(int(text))
    if len(text) > 2 * MOST_DIGITS:
        return None
    if "\\" in text:
        if match := _REPEATING.fullmatch(text):
            return _repeating(match) if len(text) < 100 else None
        text = _TWO_SIGNS.sub(r"\1", _FRACTION.sub(_as_slash, text)).strip()
    match = _SIGNED.fullmatch(text)
    if match is None:
        grouped = _SPACED.fullmatch(text.lstrip("+-"))
        return Fraction(text.replace(" ", "")) if grouped and len(text) < 100 else None
    found = _unsigned(match[2])
    return None if found is None else -found if match[1] == "-" else found
