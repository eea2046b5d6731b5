"""The doctor's lines on the screen: a live one while a check works, one that stays at its end.

screen.begin(check); screen.doing("importing vllm"); screen.end(line)

  disk         ok    output ~/outputs: write 812 MB/s, ...
"""

import time
from collections.abc import Iterator
from typing import TextIO

from verlaunch.text import columns, filled
from verlaunch.tools.doctor.checks import Check
from verlaunch.tools.doctor.look import BAD, LOOK, OK, Line

WIDTH, NAME, VERDICT = 100, 12, 5
ERASE = "\r\x1b[2K"
INDENT = " " * (2 + NAME + 1 + VERDICT + 1)


def wrapped(line: Line) -> Iterator[str]:
    """What was seen, then a remedy per line."""
    first = f"  {line.name:<{NAME}} {line.verdict:<{VERDICT}} "
    yield from _lines(line.seen or "-", first, INDENT)
    for remedy in line.remedies:
        yield from _lines(remedy, INDENT + "-> ", INDENT + "   ")


def _lines(text: str, first: str, rest: str) -> list[str]:
    """Paths and flags stay whole, to be copied."""
    return filled(text, WIDTH, first, rest).split("\n")


def summary(lines: list[Line]) -> str:
    count = {verdict: sum(line.verdict == verdict for line in lines) for verdict in (OK, LOOK, BAD)}
    of = f"{len(lines)} check{'s' * (len(lines) != 1)}"
    names = ", ".join(line.name for line in lines if line.verdict == BAD)
    if count[BAD]:
        return f"{count[BAD]} of {of} BAD ({names}): fix the first one first."
    if count[LOOK]:
        return f"Nothing is BAD in {of}; {count[LOOK]} to look at."
    return f"All fine: {of}."


class Screen:
    """Draws nothing live where it does not write to a terminal."""

    def __init__(self, out: TextIO) -> None:
        self.out, self.live = out, out.isatty()
        self._check: Check | None = None
        self._began = 0.0
        self._drawn = ""

    def begin(self, check: Check) -> None:
        self._check, self._began = check, time.monotonic()
        self.doing("")

    def doing(self, what: str) -> None:
        if not self.live or self._check is None:
            return
        spent = int(time.monotonic() - self._began)
        clock = f"{spent} s of at most {self._check.limit_s:.0f} s"
        text = f"  {self._check.name:<{NAME}} ...   {what or self._check.what}, {clock}"
        self._draw(text[: self._width()])

    def end(self, line: Line) -> None:
        self._draw("")
        self._check = None
        self.say("\n".join(wrapped(line)))

    def say(self, text: str) -> None:
        self.out.write(text + "\n")
        self.out.flush()

    def _draw(self, text: str) -> None:
        if self.live and text != self._drawn:
            self.out.write(ERASE + text)
            self.out.flush()
            self._drawn = text

    def _width(self) -> int:
        return (columns(self.out) or WIDTH + 1) - 1
