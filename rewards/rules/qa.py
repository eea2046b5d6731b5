r"""Question answering: the answer as text, by exact match or by token F1.

    compute_score("qa", "<answer>The Eiffel Tower</answer>", ["Eiffel tower", "Tour Eiffel"])
    # {"score": 1.0, "exact": 1.0, "f1": 1.0}

Compared as SQuAD does (`texts`), but for numbers, which keep sign and point; the best of several
references counts. The answer is the whole of `<answer>`, else what stands in the last `\boxed{}` or
behind the last "answer is", else the last line. Left out: synonyms that are not among the
references.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from rewards.rules.boxes import last_boxes
from rewards.rules.said import said, without_tags
from rewards.rules.texts import same, token_f1

LONGEST = 4_000  # characters of an answer; what is longer is none
_SAID = re.compile(r"answer[\s*]{0,4}(?:is\b|[:：])|答案\s{0,3}(?:是|为|[:：])", re.IGNORECASE)
_STYLE = re.compile(
    r"\\(?:text(?:bf|it|rm)?|math(?:rm|bf|it)|emph)\s?\{([^{}]{0,400})\}|\\([$%&#_{}])|\\[ ,;!]"
)


def _read(truth: Any) -> Any:
    """Prepared data holds every ground truth as text: lists and objects as JSON."""
    if not isinstance(truth, str) or not truth.startswith(("[", "{")):
        return truth
    try:
        return json.loads(truth)
    except ValueError:
        return truth


def _references(truth: Any) -> list[str]:
    """One text, several, or {"target": several} as Search-R1's data have it. Raises ValueError."""
    truth = _read(truth)
    given = truth.get("target") if isinstance(truth, Mapping) else truth
    if isinstance(given, str | int | float):
        given = [given]
    found = [str(one) for one in given] if isinstance(given, Iterable) else []
    if not found:
        raise ValueError(f"ground_truth {str(truth)[:40]!r} is no text and no list of texts")
    return found


def _between(text: str, tag: str) -> str | None:
    head, closed, _ = text.rpartition(f"</{tag}>")
    _, opened, body = head.rpartition(f"<{tag}>")
    return body.strip() if closed and opened else None


def _typeset(text: str) -> str:
    r"""Without the typesetting of LaTeX: `\text{New\ York}` is New York."""
    return _STYLE.sub(lambda m: m[1] or m[2] or " ", text) if "\\" in text else text


def _plain(text: str) -> str:
    """An answer, or a reference, without tags and typesetting; all of it where no more is left."""
    return _typeset(without_tags(text)).strip() or text.strip()


def extract_answer(text: str, tag: str | None = None) -> str | None:
    """tag: the only place where an answer may stand; None: wherever one is stated."""
    if tag not in (None, "answer"):
        return _between(text, str(tag))
    text, tagged = said(text)
    if tag is not None and not tagged:
        return None
    boxes, stated = last_boxes(text), list(_SAID.finditer(text))
    if boxes and not (stated and stated[-1].start() > boxes.start):
        return _typeset(", ".join(boxes.bodies)).strip() or None
    if tagged:
        return _plain(text)
    body = (text[stated[-1].end() :] if stated else text).strip()
    line = body.partition("\n")[0] if stated else body.rpartition("\n")[2]
    return _plain(line[:LONGEST]) or None


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str | list[str] | dict[str, Any],
    extra_info: dict[str, Any] | None = None,
    *,
    metric: Literal["exact", "f1"] = "exact",
    tag: str | None = None,
) -> dict[str, float]:
    """exact: 1.0 or 0.0; f1: in [0, 1]; score: the one that `metric` names.

    tag: `answer` accepts only what stands in <answer>...</answer>.
    """
    references = [_plain(one) for one in _references(ground_truth)]
    answer = extract_answer(solution_str, tag) or ""
    answer = answer if len(answer) <= LONGEST else ""
    exact = float(any(same(answer, one) for one in references))
    f1 = max(exact, *(token_f1(answer, one) for one in references))
    return {"score": exact if metric == "exact" else f1, "exact": exact, "f1": f1}
