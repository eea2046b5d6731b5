"""Scores answers by a run's whole reward, many at once where that helps, and times each one.

    reward, scored = await measure(spec, list(answers_to(rows)))

The one way in which known answers are scored outside training: of all parts by score, of the rules
in a plan and at a start. It stops early where going on would cost time or money for nothing: a
judge that a run would stop for, or a function that hangs again and again. Answers that were not
reached are left out.
"""

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rewards.part import Row
from rewards.reward import Result, Reward
from rewards.spec import JudgeSpec, ModelSpec, RewardSpec, RuleSpec
from verlaunch.plan.reward.trial.answers import KINDS, Answer
from verlaunch.plan.reward.trial.recorder import Recorder, Said, recorded

MOST_HANGS = 3  # each takes the function's whole time limit
MODEL_AT_ONCE = 64  # enough to fill a batch


@dataclass(frozen=True)
class Scored:
    """said: by the parts that were asked. latency_s: of all of them together."""

    answer: Answer
    result: Result
    latency_s: float
    said: dict[str, Said]

    @property
    def score(self) -> float:
        return self.result.score


def at_once(spec: RewardSpec) -> int:
    """As many calls as the parts can work on; more would only wait, and spoil the latency."""

    def wanted(source: RuleSpec | ModelSpec | JudgeSpec) -> int:
        if isinstance(source, JudgeSpec):
            return source.concurrency
        return MODEL_AT_ONCE if isinstance(source, ModelSpec) else source.workers

    return max(wanted(part.source) for part in spec.parts)


def _most(reward: Reward, kind: str) -> int:
    return max(counts.get(kind, 0) for counts in reward.counters.values())


def is_hopeless(reward: Reward, most_hangs: int = MOST_HANGS) -> bool:
    if _most(reward, "hang") >= most_hangs or _most(reward, "load"):
        return True
    return not reward.spec.is_local and reward.stop_reason() is not None


async def score_all(
    reward: Reward,
    recorders: Mapping[str, Recorder],
    answers: Sequence[Answer],
    workers: int,
    most_hangs: int = MOST_HANGS,
    cheap_s: float = math.inf,
) -> list[Scored]:
    """The answers' scores in the answers' order. cheap_s: time for those of an attack."""
    waiting = iter(enumerate(answers))
    done: dict[int, Scored] = {}
    until: float | None = None

    async def work() -> None:
        nonlocal until
        for number, answer in waiting:
            began, row = time.perf_counter(), answer.row
            if answer.kind not in KINDS:
                until = began + cheap_s if until is None else until
            if is_hopeless(reward, most_hangs) or (until is not None and began >= until):
                return
            result = await reward.score(row)
            latency_s = time.perf_counter() - began
            said = {name: r.said[id(row)] for name, r in recorders.items() if id(row) in r.said}
            done[number] = Scored(answer, result, latency_s, said)

    await asyncio.gather(*[work() for _ in range(min(workers, len(answers)))])
    return [done[number] for number in sorted(done)]


async def measure(
    spec: RewardSpec,
    answers: Sequence[Answer],
    references: Sequence[Row] = (),
    most_hangs: int = MOST_HANGS,
    cheap_s: float = math.inf,
    tell: Callable[[str], object] = lambda note: None,
) -> tuple[Reward, list[Scored]]:
    """The reward, closed but with its books, and what it scored. Raises CannotStart.

    references: for affine scales. tell: gets what the parts say when they start.
    """
    reward, recorders = recorded(spec)
    try:
        for note in await reward.start(references):
            tell(note)
        workers = at_once(spec)
        return reward, await score_all(reward, recorders, answers, workers, most_hangs, cheap_s)
    finally:
        await reward.close()
