"""One screen about a reward: tables per data_source, what failed, what it cost, and the verdict.

print("\\n".join(lines(sources, reward)))
"""

import textwrap
from collections.abc import Iterator, Sequence

from rewards.reward import Reward
from verlaunch.plan.reward.trial.answers import KINDS
from verlaunch.plan.reward.trial.glance import short
from verlaunch.plan.reward.trial.measure import Scored
from verlaunch.plan.reward.trial.remark import Remark
from verlaunch.plan.reward.trial.summary import PartMeans, Source
from verlaunch.text import plural
from verlaunch.tools.score.verdict import verdict

WIDTH = 100
GLUE = "\xa0"  # a space at which no line breaks
LABEL = 18
COLUMN = 10
COLUMNS = ("answers", "mean", "std", "min", "q1", "median", "q3", "max")
MARKS = {"bad": "BAD ", "look": "look", "good": "good"}
BOOKS = ("calls", "failed", "dropped_parts", "missing_parts")  # counters that are no failure
LONGEST_REASON = 240  # characters; the verdict above has the whole one


def number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 1000 else f"{value:.3g}"


def _seconds(value: float) -> str:
    return f"{value * 1000:.2g} ms" if value < 0.1 else f"{value:.2f} s"


def _line(label: str, cells: Sequence[str], width: int = COLUMN) -> str:
    return f"  {label:<{LABEL}}" + "".join(f"{cell:>{width}}" for cell in cells)


def _scores(source: Source) -> Iterator[str]:
    yield _line("", [*COLUMNS, "lowest", "highest"], 8)
    for kind, found in source.scores.items():
        shares = [f"{share:.0%}" for share in (found.at_lowest, found.at_highest)]
        cells = [number(getattr(found, name)) for name in COLUMNS[1:]]
        yield _line(kind, [str(found.count), *cells, *shares], 8)


def _parts(parts: Sequence[PartMeans]) -> Iterator[str]:
    kinds = [kind for kind in KINDS if any(kind in part.means for part in parts)]
    yield _line("mean of each part", ["weight", *kinds, "p50"])
    for part in parts:
        weight = "" if part.weight is None else f"{part.weight:g}"
        means = [number(part.means[kind]) if kind in part.means else "-" for kind in kinds]
        slow = "" if part.latency_p50_s is None else _seconds(part.latency_p50_s)
        yield _line(f"  {part.name}", [weight, *means, slow]).rstrip()


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    lines = textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=rest,
                          break_on_hyphens=False)  # fmt: skip
    return [line.replace(GLUE, " ") for line in lines]


def _example(one: Scored) -> list[str]:
    row = one.answer.row
    prompt = str(row.messages[-1]["content"]) if row.messages else ""
    asked = f"asked {short(prompt, 30, 30)}  " if prompt else ""
    text = (
        f"{number(one.score)}  {asked}answered {short(row.response)}  "
        f"reference {short(str(row.ground_truth), 20, 30)}"
    )
    return _wrapped(text, " " * 7, " " * 14)


def _finding(finding: Remark) -> Iterator[str]:
    yield from _wrapped(finding.text, f"  {MARKS[finding.level]} ", " " * 7)
    for example in finding.examples:
        yield from _example(example)


def _about(source: Source) -> Iterator[str]:
    yield f"{source.name}: {plural(source.questions, 'question')}, {plural(source.calls, 'answer')}"
    if source.good:
        yield from _scores(source)
        yield from _parts(source.parts)
    slow = f"{_seconds(source.latency_p50_s)} (p50), {_seconds(source.latency_p95_s)} (p95)"
    yield f"  one answer takes {slow}; {len(source.failed)} of {source.calls} failed"
    for finding in verdict(source):
        yield from _finding(finding)


def _failure(part: str, kind: str, count: int, calls: int, reason: str) -> str:
    why = textwrap.shorten(reason, LONGEST_REASON).rstrip(".")
    return f"{part}: {count} of {calls} calls failed ({kind}): {why}."


def _failures(reward: Reward) -> Iterator[str]:
    """By part and kind, with the first reason."""
    for part, counts in reward.counters.items():
        for kind, count in counts.items():
            if kind not in BOOKS and count:
                yield _failure(part, kind, count, counts["calls"], reward.reasons[part][kind])
    if why := reward.stop_reason():
        yield f"a run would stop here: {textwrap.shorten(why, LONGEST_REASON)}"


def _curves(reward: Reward) -> Iterator[str]:
    """What the parts count themselves: requests, tokens, cost, truncated inputs, latencies."""
    said = [
        f"{name}{GLUE}{'$' * name.endswith('_usd')}{value:.4g}"
        for name, value in reward.curves().items()
        if value
    ]
    if said:
        yield ", ".join(said)


def lines(sources: Sequence[Source], reward: Reward) -> Iterator[str]:
    for source in sources:
        yield from _about(source)
        yield ""
    for line in [*_failures(reward), *_curves(reward)]:
        yield from _wrapped(line, "", "  ")
