"""A penalty for repetition: the share of n-grams that are distinct, 1 when nothing is said twice.

    compute_score("repetition", "yes it is so yes it is so", "", n=2)  # {"score": 0.571...}

A model that loops scores near 0. A blank response scores 0 as well. Ordinary long answers repeat
some n-grams, so keep n at 3 or more, and the weight of this part small.
"""

from typing import Any

from rewards.rules.words import words

LONGEST = 200_000  # characters from the end; a loop is where a response ends


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any = "",
    extra_info: dict[str, Any] | None = None,
    *,
    n: int = 4,
) -> dict[str, float]:
    """score: in [0, 1]; 1.0 for a response of fewer than n + 1 words."""
    if n < 1:
        raise ValueError(f"n is {n}; n-grams have at least 1 word")
    text = solution_str[-LONGEST:].casefold()
    said = words(text)
    if not said:
        return {"score": 0.0}
    grams = list(zip(*(said[start:] for start in range(n)), strict=False))
    return {"score": len(set(grams)) / len(grams) if grams else 1.0}
