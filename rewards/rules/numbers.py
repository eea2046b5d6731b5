"""Numbers as people and models spell them: `$1,234.50`, `-3/4`, `\\frac{1}{2}`, `1.5 \\times 10^3`.

    value("1,234") == value("1234.0") == Fraction(1234)

Works on short strings only (LONGEST), so that no response can make it slow. Left out: decimal
commas (3,14), words (forty-two), and any arithmetic: nothing is evaluated.
"""

import re
from fractions import Fraction

LONGEST = 500  # characters that are looked at; longer answers are no answers
LARGEST_EXPONENT = 400
MOST_DIGITS = 400

_PLAIN = r"(?:[0-9][0-9,]*(?:\.[0-9]+)?|\.[0-9]+)"
_POWER = r"(?:[eE][+-]?[0-9]{1,4}|\s?(?:×|\*|x|\\times|\\cdot)\s?10\s?\^\s?\{?[+-]?[0-9]{1,4}\}?)"
# a sign is a sign when it stands before the number and behind no other one: 5-3 holds 5 and 3
NUMBER = re.compile(
    rf"(?:(?<![\w).])[-+])?(?:[0-9]+\s[0-9]+/[0-9]+|{_PLAIN}\s?/\s?{_PLAIN}|{_PLAIN}{_POWER}?)"
)
_GROUPED = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?")
_DECIMAL = re.compile(r"[0-9]*\.?[0-9]+")
_POWER_PARTS = re.compile(rf"({_PLAIN})(?:[eE]|[^0-9]{{1,9}}10\s?\^\s?\{{?)([+-]?[0-9]+)\}}?")

# unicode minus signs, the fraction slash, spaces that do not break, full-width digits and signs
_CHARACTERS = str.maketrans(
    {0x2212: "-", 0xFE63: "-", 0xFF0D: "-", 0x2044: "/", 0x00A0: " ", 0x2009: ",", 0x202F: ","}
    | {0xFF01 + i: chr(0x21 + i) for i in range(94) if 0xFF01 + i != 0xFF0D}
)
_FRACTION = re.compile(
    r"\\[dtc]?frac\s*(?:\{\s*([-+]?[0-9.,]+)\s*\}\s*\{\s*([0-9.,]+)\s*\}|([0-9])([0-9]))"
)
_WORDS = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mbox|operatorname)\s*\{([^{}]*)\}")
_TYPESETTING = re.compile(
    r"\\(?:left|right|displaystyle|quad|degree)\b|\\[,;:!()\[\] ]|\^\{?\\circ\}?|\*\*|</?[A-Za-z]+>"
    r"|<<[^<>]*>>|\\?[$%]|[`°€£¥￥~]"
)


def clean(text: str) -> str:
    """The first LONGEST characters without typesetting, currencies, %, and with \\frac as a/b."""
    text = text[:LONGEST].translate(_CHARACTERS).replace("{,}", ",")
    text = _WORDS.sub(r" \1 ", text)
    text = _TYPESETTING.sub("", text)
    return _FRACTION.sub(_as_slash, text).strip()


def _as_slash(match: re.Match) -> str:
    top, bottom = match[1] or match[3], match[2] or match[4]
    before = match.string[match.start() - 1 : match.start()]
    return f"{' ' if before.isdigit() else ''}{top}/{bottom}"


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
    number, exponent = _plain(parts[1]), int(parts[2])
    if number is None or abs(exponent) > LARGEST_EXPONENT:
        return None
    return number * Fraction(10) ** exponent


def value(spelling: str) -> Fraction | None:
    """Exact value of one NUMBER, or None: 1/0, 1,23, or more digits than MOST_DIGITS."""
    sign = -1 if spelling.startswith("-") else 1
    body = spelling.lstrip("+-")
    whole, _, rest = body.partition(" ") if re.match(r"[0-9]+\s[0-9]+/", body) else ("0", "", body)
    if "/" in rest:
        top, bottom = (_plain(part.strip()) for part in rest.split("/", 1))
        found = None if top is None or not bottom else top / bottom
    else:
        found = _scaled(rest)
    start = _plain(whole)
    return None if found is None or start is None else sign * (start + found)


def numbers(text: str) -> list[str]:
    """The spellings found in cleaned text, in order; `1,2,3` is three numbers, `1,234` is one."""
    found: list[str] = []
    for match in NUMBER.finditer(text):
        spelling = match[0].rstrip(",")
        listed = "," in spelling and value(spelling) is None
        found += [part for part in spelling.split(",") if part] if listed else [spelling]
    return found
