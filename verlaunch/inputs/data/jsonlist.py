"""A JSON list of any size, row by row, in the memory of a few rows.

    for line, row in json_rows(Path("data/sample_math.json")): ...

The standard library's scanner over a sliding window: nearly as quick as json.load, and a broken
row is known by its line. Left out: a list nested in an object (jsonobject.py).
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from verlaunch.errors import UserError

WINDOW = 1 << 18  # characters per read
LARGEST_ROW = 1 << 26  # a row that has not ended after this many is taken as broken
TOO_LARGE = f"a row that has not ended after {LARGEST_ROW >> 20} MB"
MEND_LARGE = (
    "Where a quotation mark or bracket is missing, add it. Where the file is one object, write its "
    "rows one a line, for example: jq -c '.train[]' FILE > train.jsonl"
)
QUOTES = ("'", "\u2018", "\u2019", "\u201c", "\u201d")  # curly ones come from text programs
_DECODER = json.JSONDecoder()


class _Window:
    """The part of the file now in memory; `line` is the number of the line that `mark` is on."""

    def __init__(self, path: Path) -> None:
        self.file = path.open(encoding="utf-8-sig")
        self.path, self.text, self.pos = path, "", 0
        self.line, self.mark, self.ended = 1, 0, False

    def more(self) -> None:
        """Drops what was read and reads on, doubling with the size of the row that is open."""
        self.advance(self.pos)
        rest = self.text[self.pos :]
        chunk = self.file.read(max(WINDOW, len(rest)))
        self.text, self.pos, self.mark, self.ended = rest + chunk, 0, 0, not chunk

    def advance(self, pos: int) -> int:
        """Moves to `pos`, counting lines on the way, and returns the line number there."""
        self.line += self.text.count("\n", self.mark, pos)
        self.mark = self.pos = pos
        return self.line

    def peek(self) -> str:
        """Moves to the next character that is not white space and returns it, '' at the end."""
        while True:
            while self.pos < len(self.text) and self.text[self.pos] in " \t\r\n":
                self.pos += 1
            if self.pos < len(self.text) or self.ended:
                return self.text[self.pos : self.pos + 1]
            self.more()

    def broken(self, pos: int, why: str, mend: str = "") -> UserError:
        line = self.advance(min(pos, len(self.text)))
        start = max(self.text.rfind("\n", 0, pos) + 1, pos - 40)
        shown = self.text[start : start + 80].split("\n")[0].strip()
        near = f" near {shown!r}" if shown else ""
        mend = mend or _habit(self.text, pos) or "Fix or delete that row."
        return UserError(f"{self.path}:{line}: broken JSON ({why}){near}. {mend}")


def _habit(text: str, pos: int) -> str:
    """What people bring along from other languages, and what JSON wants instead."""
    here = text[pos : pos + 2]
    if here in ("//", "/*") or here[:1] == "#":
        return "JSON has no comments: delete them."
    if here[:1] in QUOTES:
        return 'JSON takes no other quotation marks than ".'
    if here[:1] == "}" and text[:pos].rstrip().endswith(","):
        return "Delete the comma before it: JSON has none after the last one."
    if re.match("None|True|False", text[pos : pos + 5]):
        return "JSON writes null, true, false."
    return ""


def json_rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Yields (line number, row). Raises UserError with file and line at the first broken row.

    Bytes that are not UTF-8 raise UnicodeDecodeError."""
    window = _Window(path)
    with window.file:
        if window.peek() != "[":
            raise window.broken(window.pos, "a list [...] of rows is expected")
        window.pos += 1
        if window.peek() != "]":
            yield _row(window)
            while window.peek() != "]":
                _comma(window)
                yield _row(window)
        window.pos += 1
        if window.peek():
            raise window.broken(window.pos, "text after the end of the list")


def json_values(path: Path) -> Iterator[tuple[int, Any]]:
    """The same of objects that stand one after another, over several lines each."""
    window = _Window(path)
    with window.file:
        while found := window.peek():
            if found == ",":
                window.pos += 1
            elif found == "{":
                yield _row(window)
            else:
                raise window.broken(window.pos, "text between two objects")


def _comma(window: _Window) -> None:
    found = window.peek()
    if found != ",":
        why = "a comma is missing" if found else "the file ends inside the list"
        raise window.broken(window.pos, why)
    window.pos += 1
    if window.peek() == "]":
        raise window.broken(window.pos, "a comma after the last row", "Delete it.")


def _row(window: _Window) -> tuple[int, Any]:
    line = window.advance(window.pos)
    while True:
        may_grow = not window.ended and len(window.text) - window.pos < LARGEST_ROW
        try:
            row, end = _DECODER.raw_decode(window.text, window.pos)
        except RecursionError:
            raise window.broken(window.pos, "nested too deeply") from None
        except json.JSONDecodeError as error:
            if not may_grow and not window.ended:
                raise window.broken(window.pos, TOO_LARGE, MEND_LARGE) from None
            if not may_grow:
                raise window.broken(error.pos, error.msg) from None
            window.more()
            continue
        except ValueError:  # Python's own limit, which JSON has not
            why = "an integer of more than 4,300 digits"
            raise window.broken(window.pos, why, 'Write it as text, in "...".') from None
        if end < len(window.text) or not may_grow:
            window.pos = end
            return line, row
        window.more()  # 12 may be the start of 123 when the window ends right after it
