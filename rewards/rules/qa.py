"""Question answering: the answer as text, by exact match or by token F1.

    compute_score("qa", "<answer>The Eiffel Tower</answer>", ["Eiffel tower", "Tour Eiffel"])
    # {"score": 1.0, "exact": 1.0, "f1": 1.0}

Normalised as SQuAD does (case, punctuation, articles, spaces); the best of several references
counts. The answer is what stands in the last <answer> tag, else behind the last "answer is", else
the last line. Left out: synonyms that are not among the references.
"""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from rewards.rules.words import words

_SAID = re.compile(r"answer[\s*]{0,4}(?:is\b|[:：])|答案\s{0,3}(?:是|为|[:：])", re.IGNORECASE)
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")


def normalise(text: str) -> str:
    """Lower case without punctuation, articles and double spaces; "the The" keeps its letters."""
    text = unicodedata.normalize("NFKC", text).casefold()
    bare = "".join(c for c in text if unicodedata.category(c)[0] != "P")
    return " ".join(_ARTICLE.sub(" ", bare).split()) or " ".join(bare.split())


def token_f1(answer: str, truth: str) -> float:
    """In [0, 1]: the harmonic mean of precision and recall over the words of both."""
    ours, theirs = words(normalise(answer)), words(normalise(truth))
    shared = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * shared / (len(ours) + len(theirs)) if shared else 0.0


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


def extract_answer(text: str, tag: str | None = None) -> str | None:
    """tag: the only place where an answer may stand; None: wherever one is stated."""
    tagged = _between(text, tag or "answer")
    if tagged is not None or tag is not None:
        return tagged
    said = list(_SAID.finditer(text))
    body = (text[said[-1].end() :] if said else text).strip()
    line = body.partition("\n")[0] if said else body.rpartition("\n")[2]
    return line.strip(" *_\"'。.") or None


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
    references = _references(ground_truth)
    answer = extract_answer(solution_str, tag) or ""
    plain = normalise(answer)
    exact = float(bool(plain) and plain in map(normalise, references))
    f1 = max(exact, *(token_f1(answer, one) for one in references))
    return {"score": exact if metric == "exact" else f1, "exact": exact, "f1": f1}
