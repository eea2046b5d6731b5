"""A penalty for long responses: 1 up to a length, then down in a straight line to 0 at the limit.

    compute_score("length", "word " * 90, "", limit=100, buffer=20, unit="words")  # {"score": 0.5}

DAPO's soft overlong punishment (arXiv 2503.14476 eq. 13), moved from [-1, 0] to [0, 1], and in
words or characters: a rule knows no tokenizer. A blank response scores 0, so that silence is not
the best way to be short. Meant as a part beside others.
"""

from typing import Any, Literal

from rewards.rules.words import words


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any = "",
    extra_info: dict[str, Any] | None = None,
    *,
    limit: int = 4000,
    buffer: int = 1000,
    unit: Literal["characters", "words"] = "characters",
) -> dict[str, float]:
    """score: in [0, 1]; it falls over the last `buffer` units before the limit."""
    if not 0 < buffer <= limit:
        raise ValueError(f"buffer is {buffer}; it must be above 0 and at most the limit, {limit}")
    if not solution_str.strip():
        return {"score": 0.0}
    length = len(words(solution_str)) if unit == "words" else len(solution_str)
    return {"score": max(0.0, min(1.0, (limit - length) / buffer))}
