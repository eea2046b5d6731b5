"""Words and numbers as a person reads them, for every room.

plural(2, "rank")   ->  "2 ranks"
duration(3725)      ->  "1h02m"
"""

import os
import sys
import textwrap
from collections.abc import Sequence
from typing import TextIO

GIB, MIB = 2**30, 2**20  # bytes
LABEL = 12  # characters
LEAST, LINE = 40, 88
Rows = tuple[tuple[str, str], ...]  # label, what a person reads


def plural(count: int, one: str, many: str | None = None) -> str:
    """plural(2, "rank")  ->  "2 ranks" """
    return f"{count} {one if count == 1 else many or one + 's'}"


def nearest(wanted: int, allowed: Sequence[int]) -> str:
    """The two allowed values closest to the wanted one, as text: "96 or 128"."""
    below = [value for value in allowed if value <= wanted][-1:]
    above = [value for value in allowed if value > wanted][:1]
    return " or ".join(str(value) for value in below + above)


def capital(text: object) -> str:
    """For the beginning of a sentence."""
    words = str(text)
    return words[:1].upper() + words[1:]


def lasting(seconds: float) -> str:
    """10 min, 12 s"""
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{max(1, seconds):.0f} s"


def gib(size: float) -> str:
    """Bytes of memory, as nvidia-smi and free count them."""
    return f"{size / GIB:.1f} GiB"


def columns(out: TextIO | None) -> int | None:
    """Of a terminal; None where a file or a program reads."""
    try:
        return os.get_terminal_size(out.fileno()).columns or None if out else None
    except (OSError, ValueError):
        return None


def filled(value: str, most: int = LINE, first: str = "", rest: str = "") -> str:
    """In lines of a terminal's width, and no longer than `most`; paths and flags stay whole."""
    width = max(LEAST, min(most, columns(sys.__stdout__) or most))
    return textwrap.fill(value, width, initial_indent=first, subsequent_indent=rest,
                         break_long_words=False, break_on_hyphens=False)  # fmt: skip


def told(text: str, out: TextIO) -> str:
    """In a terminal no word is torn at the edge; elsewhere a message is one line."""
    return filled(text, columns(out) or LINE, rest="  ") if out.isatty() else text


def row(label: str, value: str) -> str:
    """A label and its text, wrapped beside the label."""
    return filled(value, first=f"  {label:<{LABEL}} ", rest=" " * (LABEL + 3))


def joined(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def duration(seconds: float) -> str:
    seconds = int(seconds)
    hours, minutes = seconds // 3600, seconds % 3600 // 60
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{seconds % 60:02d}s" if minutes else f"{seconds}s"
