"""Two answers on one screen: beside each other where there is room, else one after the other.

    side_by_side(["before", "after"], ["3+4 is 8", "7"], width=100)

Widths are those of a terminal's cells: a Chinese character takes two. What a model writes is text;
its control characters never reach the terminal.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from itertools import zip_longest

LEAST_WIDTH = 80  # cells; below it columns are too narrow to read
BAR = " │ "
KEPT = "\n\t\u200c\u200d"  # the joiners belong to Persian, Hindi and emoji


def _is_harmless(character: str) -> bool:
    unseen = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    return not unseen or character in KEPT


def harmless(text: str) -> str:
    """Without control and direction characters, which could rewrite the screen; tabs are spaces."""
    return "".join(filter(_is_harmless, text)).expandtabs(4)


def _cells(character: str) -> int:
    if unicodedata.combining(character) or character in KEPT:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cells(text: str) -> int:
    return sum(map(_cells, text))


def _head(text: str, width: int) -> int:
    """How many characters go on a line of this width: up to the last space that fits, else all
    that fit, at least one."""
    taken = space = 0
    for count, character in enumerate(text):
        taken += _cells(character)
        if taken > width:
            return space or max(1, count)
        if character == " ":
            space = count + 1
    return len(text)


def wrapped(text: str, width: int) -> Iterator[str]:
    """Lines of at most `width` cells; the text's own line breaks stay."""
    for line in text.split("\n"):
        while True:
            end = _head(line, width)
            yield line[:end].rstrip()
            line = line[end:]
            if not line:
                break


def side_by_side(titles: Sequence[str], texts: Sequence[str], width: int) -> list[str]:
    each = (width - cells(BAR) * (len(titles) - 1)) // len(titles)
    columns = [
        [*wrapped(title, each), "─" * each, *wrapped(harmless(text), each)]
        for title, text in zip(titles, texts, strict=True)
    ]
    rows = zip_longest(*columns, fillvalue="")
    padded = ([cell + " " * (each - cells(cell)) for cell in row] for row in rows)
    return [BAR.join(row).rstrip() for row in padded]


def shown(titles: Sequence[str], texts: Sequence[str], width: int | None) -> list[str]:
    """width: of a terminal; None when the text goes elsewhere."""
    if width is None or width < LEAST_WIDTH or len(titles) < 2:
        return [f"{title}: {harmless(text)}" for title, text in zip(titles, texts, strict=True)]
    return side_by_side(titles, texts, width)
