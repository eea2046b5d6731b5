r"""What a row's ground truth says: one whole answer, or a solution that ends in one.

    find_reference("72 clips")                             # "72 clips"
    find_reference("3 bags of 12.\n#### 36")               # "36"
    find_reference("$3$, $8$")                             # "$3$, $8$"
    find_reference("\\begin{pmatrix}\n 1 \\\\ 2 \\end{pmatrix}")  # all of it, on one line

Raises Failure when there is nothing to read in it: the row's fault, and no answer's.
"""

import re
from functools import lru_cache
from typing import Any

from rewards.part import Failure
from rewards.rules.maths.answers import MARKER, find
from rewards.rules.maths.quantity import squeeze
from rewards.rules.maths.spelling import LONGEST, spell
from rewards.rules.maths.statement import Statement, read_statement
from rewards.rules.said import said

_COMMAND = re.compile(r"\\(?:begin|end)\s*\{[a-z]*\}|\\[A-Za-z]+\s*(?:\{[A-Za-z ,.]*\})?")
_PROSE = re.compile(r"(?<![A-Za-z])[A-Za-z]{2,}(?![A-Za-z])[^=<>]{0,40}?(?<![A-Za-z])[A-Za-z]{2,}")


def _is_solution(text: str) -> bool:
    """Several lines of prose; a formula may be broken over lines as well."""
    return "\n" in text and bool(_PROSE.search(_COMMAND.sub(" ", text)))


def _joined(text: str) -> str:
    """A formula broken over lines; or an equation on each line, which are several."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    equations = all("=" in line and line.count("(") == line.count(")") for line in lines)
    return (", " if equations else " ").join(lines)


def find_reference(text: str) -> str:
    """The source of the right answer. Raises Failure."""
    text = said(text)[0].strip() if "<" in text or "[" in text else text.strip()
    if MARKER.search(text) or _is_solution(text):
        found = find(text)
        source = found.source if found else ""
    else:
        source = _joined(text)
    if len(source) > LONGEST:
        raise Failure("data", f"the ground truth is longer than {LONGEST} characters: no answer")
    if not squeeze(spell(source)):
        raise Failure("data", f"no answer can be read in the ground truth {text[:40]!r}")
    return source


@lru_cache(maxsize=4096)  # every response to a prompt is held against the same reference
def _read(text: str) -> Statement:
    return read_statement(find_reference(text))


def read_reference(truth: Any) -> Statement:
    """Of a text or a number. Raises Failure."""
    if isinstance(truth, bool) or not isinstance(truth, str | int | float):
        kind = type(truth).__name__
        raise Failure("data", f"ground_truth is of type {kind}; this rule needs text, such as '42'")
    return _read(str(truth))
