"""The reference answer of a row, as a response would give it.

    reference_of(Row("qa", "", '["Paris", "Lutetia"]'))   # "Paris"

A ground truth that is no answer (unit tests, a schema) needs a column with a solution, which then
is the reference; the index of a choice stands for its text.
"""

import json
from collections.abc import Mapping
from typing import Any

from rewards.part import Row

SOLUTIONS = ("reference_answer", "reference_solution", "canonical_solution", "solution")
JUNK = "lorem ipsum dolor sit amet"


def _option(text: str, extra: Mapping[str, Any]) -> str | None:
    """The option that an index names: 1 is no answer to a question with choices, "Paris" is."""
    choices = extra.get("choices")
    options = choices.get("text") if isinstance(choices, Mapping) else choices
    if not isinstance(options, list) or not text.isdecimal() or text in map(str, options):
        return None
    return str(options[int(text)]) if int(text) < len(options) else None


def _parsed(truth: Any) -> Any:
    """Lists and objects travel as JSON text in a ground truth."""
    if isinstance(truth, str) and truth.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(truth)
        except (ValueError, RecursionError):
            return truth
    return truth


def reference_of(row: Row) -> str | None:
    """A whole solution or a short answer; None when the row holds neither."""
    truth, extra = _parsed(row.ground_truth), row.extra_info or {}
    if not isinstance(truth, list | Mapping):
        text = "" if truth is None else str(truth)
        if text.strip():
            return _option(text, extra) or text
    for name in SOLUTIONS:
        solution = extra.get(name)
        if isinstance(solution, str) and solution.strip():
            return solution
    aliases = isinstance(truth, list) and all(isinstance(item, str) for item in truth)
    is_tests = aliases and any(item.lstrip().startswith("assert") for item in truth)
    return truth[0] if aliases and truth and not is_tests else None
