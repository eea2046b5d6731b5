"""Two short texts as SQuAD compares them, with numbers as numbers.

    same("The Eiffel Tower!", "eiffel tower")      # True
    same("$3,000.0", "3000"), same("-7", "7")      # True, False
    token_f1("It is in Paris", "Paris")            # 0.4

SQuAD's script takes off capitals, ASCII's 32 signs, articles and double spaces. Here other signs of
punctuation go as well, and Unicode's compatible letters are one ("Ｐ" is "P"). Where SQuAD and
numbers disagree, numbers hold: a sign, a point, a slash or a colon of a number stays, so that 3.14
is not 314, nor 2-1 21; a comma between thousands, zeros at the ends and currencies go.
"""

import re
import string
import unicodedata
from collections import Counter
from fractions import Fraction
from functools import lru_cache

from rewards.rules.words import WIDE

SHORT = 400  # characters of a text that is remembered
MOST_DIGITS = 60  # of two numbers that are compared by value
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_SIGNS = str.maketrans("", "", string.punctuation)
_DASHES = {ord(dash): "-" for dash in "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"} | {0x2044: "/"}
# what belongs to a number waits in letters of private use while signs are taken off
_KEPT = {"-": "\ue000", ".": "\ue001", "/": "\ue002", ":": "\ue003"}
_BACK = {ord(letter): sign for sign, letter in _KEPT.items()}
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{2,3}){0,8},\d{3}(?![\d,])")
_DECIMAL = re.compile(r"(?<![\w.])(\d*)\.(\d+)(?![\d.]\d|\d)")
_ZEROS = re.compile(r"(?<![\w.:/\ue000-\ue003])0+(?=\d)(?=\d+(?!\w))")
_CURRENCY = re.compile(r"[£€¥₹]\s?(?=[\d\ue000])")
_MINUS = re.compile(r"(?:^\s*-\s?|(?<![\w.)\]%])-|(?<=[$€£¥])-)(?=[$€£¥]?[\d\ue001])")
_INNER = re.compile(r"(?<=\d)[./:](?=\d)")
_BETWEEN = re.compile(r"(?<=\d)\s?[^\w\s\ue000-\ue003]\s?(?=\d)")
_NUMBER = re.compile(r"-?\d+(?:[./]\d+)?")
_TOKEN = re.compile(rf"[{WIDE}]|[^\s{WIDE}]+")


def _decimal(match: re.Match) -> str:
    whole, part = match[1].lstrip("0") or "0", match[2].rstrip("0")
    return f"{whole}{_KEPT['.']}{part}" if part else whole


def _with_numbers(text: str) -> str:
    """Numbers in one spelling, and their signs kept from what is taken off next."""
    text = _THOUSANDS.sub(lambda match: match[0].replace(",", ""), text)
    text = _DECIMAL.sub(_decimal, text)
    text = _CURRENCY.sub("", _MINUS.sub(_KEPT["-"], _ZEROS.sub("", text)))
    text = _INNER.sub(lambda match: _KEPT[match[0]], text)
    return _BETWEEN.sub(" ", text)


def normalise(text: str) -> str:
    """Lower case without signs, articles and double spaces; "the The" keeps its letters."""
    is_plain = text.isascii()
    text = text.lower() if is_plain else unicodedata.normalize("NFKC", text).casefold()
    text = text if is_plain else text.translate(_DASHES)
    text = _with_numbers(text) if any(map(str.isdigit, text)) else text
    bare = text.translate(_SIGNS)
    if not is_plain:
        bare = "".join(c for c in bare if unicodedata.category(c)[0] != "P")
    bare = bare.translate(_BACK)
    return " ".join(_ARTICLE.sub(" ", bare).split()) or " ".join(bare.split())


_cached = lru_cache(maxsize=8192)(normalise)  # references meet many answers, and answers many


def _normalised(text: str) -> str:
    return _cached(text) if len(text) <= SHORT else normalise(text)


def _value(text: str) -> Fraction | None:
    try:
        return Fraction(text) if len(text) < MOST_DIGITS and _NUMBER.fullmatch(text) else None
    except ZeroDivisionError:
        return None


def same(answer: str, reference: str) -> bool:
    """Whether they read the same; a reference of signs alone is compared as it is written."""
    wanted = _normalised(reference)
    if not wanted:
        signs = "".join(reference.split())
        written = "".join(answer.split())
        return bool(signs) and signs in (written, written.rstrip(".。"))
    given = _normalised(answer)
    if given == wanted:
        return True
    value = _value(given)
    return value is not None and value == _value(wanted)


def token_f1(answer: str, reference: str) -> float:
    """In [0, 1]: the harmonic mean of precision and recall over the words of both.

    A word is what stands between spaces, and each Chinese, Japanese or Korean character.
    """
    ours, theirs = _TOKEN.findall(_normalised(answer)), _TOKEN.findall(_normalised(reference))
    shared = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * shared / (len(ours) + len(theirs)) if shared else 0.0
