r"""Brackets, matrices and unions: what stands outside of them, and what is in them.

    bracketed("[1, x+2)")                       # Brackets("[)", ("1", "x+2"))
    bracketed(r"\begin{pmatrix} 1 & 2 ⏎ 3 & 4 \end{pmatrix}").parts  # ("1", "2", "3", "4")
    union_of(r"(1, 2) \cup (3, 4)")             # ["(1, 2)", "(3, 4)"]

Of spelled text (`spelling`). Each pass is linear. Left out: what the parts are.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from rewards.rules.maths.spelling import BREAK

_TOKEN = re.compile(
    r"(?P<open>\\begin\b|\\\{|[(\[{])|(?P<close>\\end\b|\\\}|[)\]}])"
    r"|(?P<group>(?<![0-9.,])[0-9]{1,3}(?:,[0-9]{3})+(?![0-9,]))"
    r"|(?P<join>[,;]\s?(?:(?:and|or)(?![A-Za-z]))?|(?<![A-Za-z\\])(?:and|or)(?![A-Za-z])|和|或者?"
    r"|\\l(?:or|and)\b)"
    r"|(?P<sign>[=<>≤≥≠≈∈])|(?P<cup>\\cup\b)"
)
_ENVIRONMENT = re.compile(r"\\begin\s?\{([a-z]*)\}(.*)\\end\s?\{\1\}")
_AROUND_MATRIX = re.compile(r"[(\[]\s?(\\begin\b.*\\end\s?\{matrix\})\s?[)\]]")
_CLOSING = {"(": ")]", "[": ")]", "\\{": ("\\}",)}


class Brackets(NamedTuple):
    """kind: "()", "[)", "{}", "matrix"; parts: their texts, of a matrix the rows one by one."""

    kind: str
    parts: tuple[str, ...]
    columns: int = 0


def outside(text: str, kinds: tuple[str, ...]) -> list[re.Match]:
    """The tokens of these kinds that stand in no bracket."""
    depth, found = 0, []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        depth += (kind == "open") - (kind == "close" and depth > 0)
        if depth == 0 and kind in kinds:
            found.append(match)
    return found


def cut(text: str, at: list[re.Match]) -> list[str]:
    edges = [0, *(edge for match in at for edge in match.span()), len(text)]
    return [text[a:b].strip() for a, b in zip(edges[::2], edges[1::2], strict=True)]


@lru_cache(maxsize=4096)
def bracketed(text: str) -> Brackets | None:
    """When one pair of brackets with several parts in it, or a matrix, is the whole text."""
    text = text.strip()
    if match := _ENVIRONMENT.fullmatch(_AROUND_MATRIX.sub(r"\1", text)):
        rows = [row for row in match[2].split(BREAK) if row.strip()]
        cells = [[cell.strip() for cell in row.split("&")] for row in rows]
        if match[1].endswith("matrix") and len({len(row) for row in cells}) == 1:
            kind = match[1] if match[1].startswith("v") else "matrix"
            return Brackets(kind, tuple(cell for row in cells for cell in row), len(cells[0]))
        return None
    opened = "\\{" if text.startswith("\\{") else text[:1]
    closed = "\\}" if text.endswith("\\}") else text[-1:]
    if opened not in _CLOSING or closed not in _CLOSING[opened]:
        return None
    inner = text[len(opened) : -len(closed)]
    depth = 0
    for match in _TOKEN.finditer(inner):
        depth += (match.lastgroup == "open") - (match.lastgroup == "close")
        if depth < 0:
            return None
    return Brackets((opened + closed).replace("\\", ""), tuple(_parts(inner)))


def _parts(inner: str) -> list[str]:
    """1,234 in brackets is two numbers."""
    if not inner.strip():
        return []
    depth, start, found = 0, 0, []
    for at, character in enumerate(inner):
        depth += (character in "([{") - (character in ")]}")
        if depth == 0 and character in ",;":
            found.append(inner[start:at].strip())
            start = at + 1
    return [*found, inner[start:].strip()]


def union_of(text: str) -> list[str]:
    """The sets that \\cup joins; the text alone where there is none."""
    return cut(text, outside(text, ("cup",))) if "\\cup" in text else [text]
