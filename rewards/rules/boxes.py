r"""The last `\boxed{}` of a text, with those that belong to it.

    last_boxes(r"first \boxed{3}, so \boxed{4} and \boxed{5}")   # (["4", "5"], where "4" begins)
    last_boxes(r"\boxed{3} \boxed{")                             # ([], ...): open, so no answer

Boxes with no more than "and", "or" or a comma between them are one answer. Linear.
"""

import re
from typing import NamedTuple

LONGEST = 4_000  # characters in a box
MOST = 16
_BOX = re.compile(r"\\f?boxed\s{0,3}\{")
_BESIDE = re.compile(r"[\s$\\().]{0,20}(?:,\s?(?:and|or)\b|,|and\b|or\b|/|&)[\s$\\()]{0,20}")


class Boxes(NamedTuple):
    """bodies: of the last ones, in their order; [] when the last one is empty or not closed."""

    bodies: list[str]
    start: int


def closed(text: str) -> str | None:
    """What stands before the brace that closes the one already open."""
    depth = 1
    for at, character in enumerate(text):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth == 0:
            return text[:at]
    return None


def last_boxes(text: str) -> Boxes | None:
    """None without any box."""
    bodies: list[str] = []
    start = len(text)
    for box in reversed(list(_BOX.finditer(text))[-MOST:] if "boxed" in text else []):
        body = closed(text[box.end() : box.end() + LONGEST])
        if bodies:
            between = text[box.end() + len(body or "") + 1 : start][:LONGEST]
            if not body or not _BESIDE.fullmatch(between):
                break
        elif not body or not body.strip():
            return Boxes([], box.start())
        bodies.insert(0, body)
        start = box.start()
    return Boxes(bodies, start) if bodies else None
