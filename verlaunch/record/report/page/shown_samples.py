"""Which of a run's responses the page shows: the best, the worst and some at random, all along it.

    choose([{"step": 1, "score": 0.0, "response": ...}, ...])
    # [{"step": 1, "pick": "worst", "score": 0.0, "parts": {...}, "prompt": ..., ...}, ...]

The run is cut into stretches with as many samples each. Of a long run every stretch keeps its
share, drawn with a fixed seed, so that the page made twice is the same page.
"""

import random
from collections.abc import Sequence
from typing import Any

from rewards.checks import FAILED
from verlaunch.record.report.page.embed import cut

MOST = 600  # samples of a page
STRETCHES = 8
BEST = WORST = 1  # of a stretch, named so
RANDOM = 2
OURS = ("step", "data_source", "prompt", "response", "ground_truth", "extra_info", "score")

Line = dict[str, Any]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _is_judged(line: Line) -> bool:
    """Not where the reward failed: what stands there says nothing of the response."""
    return _is_number(line.get("score")) and not line.get(FAILED)


def _stretches(lines: Sequence[Line]) -> list[list[Line]]:
    """In order; samples of one step stay together."""
    steps = sorted({line["step"] for line in lines})
    place = {step: index * STRETCHES // len(steps) for index, step in enumerate(steps)}
    found: list[list[Line]] = [[] for _ in range(STRETCHES)]
    for line in lines:
        found[place[line["step"]]].append(line)
    return [stretch for stretch in found if stretch]


def _picked(stretch: Sequence[Line], share: int, dice: random.Random) -> list[tuple[str, Line]]:
    """At most `share` of them with their labels: best, worst, random, or none."""
    mixed = dice.sample(stretch, len(stretch))  # ties are broken by chance
    judged = sorted(filter(_is_judged, mixed), key=lambda line: line["score"], reverse=True)
    differ = bool(judged) and judged[0]["score"] != judged[-1]["score"]
    best = judged[:BEST] if differ else []
    worst = judged[-WORST:] if differ else []
    taken = {id(one) for one in best + worst}
    rest = [one for one in mixed if id(one) not in taken]
    labels = ["best"] * len(best) + ["worst"] * len(worst) + ["random"] * RANDOM
    labels += [""] * len(rest)
    return list(zip(labels, best + worst + rest, strict=False))[:share]


def _text(value: Any) -> str:
    """Chat messages as a person reads them; anything else as it is."""
    if isinstance(value, list) and all(isinstance(one, dict) for one in value):
        return "\n\n".join(f"{one.get('role', '?')}: {one.get('content', '')}" for one in value)
    return "" if value is None else str(value)


def _shown(pick: str, line: Line) -> Line:
    parts = {key: one for key, one in line.items() if key not in OURS and _is_number(one)}
    texts = {key: cut(_text(line.get(key))) for key in ("prompt", "response", "ground_truth")}
    source = cut(_text(line.get("data_source")), 100)
    score = line.get("score") if _is_number(line.get("score")) else None
    return {"step": line["step"], "pick": pick, "source": source, "score": score, **texts,
            "parts": parts}  # fmt: skip


def _without_quiet(samples: list[Line]) -> list[Line]:
    """Failures that never came are no column."""
    told = {key for one in samples for key, value in one["parts"].items()
            if value or not key.endswith("_failed")}  # fmt: skip
    for one in samples:
        one["parts"] = {key: value for key, value in one["parts"].items() if key in told}
    return samples


def choose(lines: Sequence[Line]) -> list[Line]:
    """At most MOST, in order of steps."""
    usable = [line for line in lines if isinstance(line.get("step"), int)]
    if not usable:
        return []
    stretches = _stretches(usable)
    share = MOST // len(stretches)
    dice = random.Random(0)
    picked = [pair for stretch in stretches for pair in _picked(stretch, share, dice)]
    shown = [_shown(*pair) for pair in sorted(picked, key=lambda pair: pair[1]["step"])]
    return _without_quiet(shown)
