"""What a reference says in the end, and whether a number or a word says the same: by looks alone.

    final("6 * 7 = 42\\n#### 42")     # "42"
    final("x^2 - 1 = 0")             # "x^2 - 1 = 0"
    says("7", r"\\frac{14}{2}")       # True

No rule is asked: this tells right answers from cheap ones whatever rule is on trial. It is lenient,
so that a right answer is not called cheap. Left out on purpose: algebra.
"""

import re
from fractions import Fraction

PROSE = 8  # words, from which on a reference is a solution that ends in its answer
NUMBER = re.compile(r"(?<![\w.^\\{(+*/-])-?\d[\d,]*(?:\.\d+)?(?![\w^(]|\.\d)")
# One name, f(2) or arithmetic on the left: what is on the right is the answer.
NAMED = re.compile(r"(?:[A-Za-z]\w*(?:\([^()=]*\))?|[^A-Za-z=]*)\s*=\s*([^=]*)")
FRACTION = re.compile(r"\\[dt]?frac\{(-?\d+)\}\{(\d+)\}")
EDGES = " \t\r\n.$()"


def final(reference: str) -> str:
    """Behind a marker, in a box, right of a name; else the whole reference."""
    text = reference.rpartition("####")[2]
    if "\\boxed{" in text:
        text = text.rpartition("\\boxed{")[2].rpartition("}")[0]
    text = text.strip().strip("$").strip()
    named = NAMED.fullmatch(text)
    return named[1].strip().rstrip(".") if named else text.rstrip(".")


def is_prose(reference: str) -> bool:
    return len(final(reference).split()) >= PROSE


def value(text: str) -> Fraction | None:
    text = FRACTION.sub(r"\1/\2", text).strip(EDGES).replace(",", "")
    try:
        return Fraction(text.rstrip("%"))
    except (ValueError, ZeroDivisionError):
        return None


def says(answer: str, reference: str) -> bool:
    """Whether the answer is the reference's own, as far as one can see."""
    end = final(reference)
    if answer.strip(EDGES).casefold() == end.strip(EDGES).casefold():
        return True
    number = value(answer)
    if number is None:
        return False
    alone = [value(found) for found in NUMBER.findall(end)]
    if is_prose(reference):
        return number in alone[-1:]
    is_only = alone == [number] and not re.search(r"[=\d]", NUMBER.sub("", end))
    return is_only or number == value(end)
