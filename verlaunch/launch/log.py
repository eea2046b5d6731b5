"""Which lines of a run's log a person should see at once.

    errors = Errors()
    errors.is_news(plain("(Runner pid=12) ValueError: no such file"))  ->  True, and then False

Ray, vLLM and verl write thousands of lines; only errors are picked, each kind once, and not those
that follow from the death of another process.
"""

import re

from verlaunch.launch.failures.table import follows

SHOWN_ERRORS = 8
SAME = 80  # characters after which two errors are of one kind: rows and texts differ later on
# What deserves the screen: Python's log levels and last lines of tracebacks.
ERROR_LINE = re.compile(r"\b(ERROR|CRITICAL)\b|\b[A-Z]\w*(Error|Exception)\b: ")
HARMLESS = re.compile(r"Warning: ")  # verl warns of engines that it cannot import
# vLLM logs whole tracebacks at this level: "ERROR 11-20 12:00:00 [core.py:1]   File ...".
LEVEL = re.compile(r"^ERROR [^\]]*\]( |$)")
FRAME = re.compile(r"\s|Traceback \(|The above exception|During handling|$")
NAME = re.compile(r"\b[A-Z]\w*(Error|Exception)\b: ")
# Ray puts "(Runner pid=123)" before each line, in colour, and vLLM "(EngineCore pid=124)" inside.
PREFIX = re.compile(r"^(\([^)]*pid=[^)]*\)\s?)+")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def plain(line: str) -> str:
    """Without colours, Ray's prefix, and what a progress bar has painted over."""
    bare = PREFIX.sub("", COLOUR.sub("", line)).rstrip()
    return CONTROL.sub("", bare.rpartition("\r")[2])


class Errors:
    """Which errors were shown: each kind once, numbers and ids apart. `last`: the newest of all."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.last = ""

    def is_news(self, line: str) -> bool:
        if not ERROR_LINE.search(line) or HARMLESS.search(line) or _is_frame(line):
            return False
        self.last = line
        if follows(line):
            return False
        kind = re.sub(r"[0-9a-f]{6,}|\d+", "#", _told(line))[:SAME]
        if kind in self.seen or len(self.seen) >= SHOWN_ERRORS:
            return False
        self.seen.add(kind)
        return True


def _is_frame(line: str) -> bool:
    """Of a traceback: all of it but its last line."""
    level = LEVEL.match(line)
    return level is not None and FRAME.match(line[level.end() :]) is not None


def _told(line: str) -> str:
    """From the exception's name on: an error comes from its process and from who waited for it."""
    name = NAME.search(line)
    return line[name.start() :] if name else line
