"""Scores answers by a run's whole reward, many at once where that helps, and times each one.

    reward, scored = await measure(spec, list(answers_to(rows)))

The one way in which known answers are scored outside training: of all parts by score, of the rules
in a plan and at a start. It stops early where going on would cost time or money for nothing: a
judge that a run would stop for, or a function that hangs again and again. Answers that were not
reached are left out. What each part said to each answer is kept beside its score: the Reward itself
puts means where a part was not asked or failed, which is right for curves, and wrong for finding
out what is wrong.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from rewards.build import make_part
from rewards.checks import split
from rewards.part import Failure, Part, Row
from rewards.reward import Result, Reward
from rewards.spec import JudgeSpec, ModelSpec, RewardSpec, RuleSpec
from verlaunch.plan.reward.trial.answers import KINDS, Answer

MOST_HANGS = 3  # each takes the function's whole time limit
MODEL_AT_ONCE = 64  # enough to fill a batch


@dataclass(frozen=True)
class Said:
    """scores: as the part returned them, unscaled; None when it failed. kind: of the failure."""

    latency_s: float
    scores: dict[str, float] | None = None
    kind: str | None = None


class Recorder(Part):
    """Passes everything on. said: by the identity of the row, which has to stay alive."""

    def __init__(self, part: Part) -> None:
        self.part, self.keys, self.floor = part, part.keys, part.floor
        self.said: dict[int, Said] = {}

    async def start(self) -> list[str]:
        return await self.part.start()

    async def score(self, row: Row) -> dict[str, float]:
        began = time.perf_counter()
        try:
            scores = await self.part.score(row)
        except Failure as failure:
            self.said[id(row)] = Said(time.perf_counter() - began, kind=failure.kind)
            raise
        self.said[id(row)] = Said(time.perf_counter() - began, split(scores)[0])
        return scores

    def curves(self) -> dict[str, float]:
        return self.part.curves()

    async def close(self) -> None:
        await self.part.close()


def recorded(spec: RewardSpec) -> tuple[Reward, dict[str, Recorder]]:
    """As rewards.build.build. Raises CannotStart."""
    recorders = {part.name: Recorder(make_part(part.source)) for part in spec.parts}
    return Reward(spec, recorders), recorders


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
        if isinstance(source, ModelSpec):
            return MODEL_AT_ONCE
        return source.workers if source.function else len(os.sched_getaffinity(0))  # programs

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
    cheap_s: float | None = None,
) -> list[Scored]:
    """The answers' scores in the answers' order. cheap_s: time for those of an attack, in all."""
    done: dict[int, Scored] = {}

    async def work(waiting: Iterator[tuple[int, Answer]]) -> None:
        for number, answer in waiting:
            if is_hopeless(reward, most_hangs):
                return
            began, row = time.perf_counter(), answer.row
            result = await reward.score(row)
            latency_s = time.perf_counter() - began
            said = {name: r.said[id(row)] for name, r in recorders.items() if id(row) in r.said}
            done[number] = Scored(answer, result, latency_s, said)

    async def work_on(some: Sequence[tuple[int, Answer]]) -> None:
        waiting = iter(some)
        await asyncio.gather(*[work(waiting) for _ in range(min(workers, len(some)))])

    numbered = list(enumerate(answers))
    await work_on([pair for pair in numbered if pair[1].kind in KINDS])
    with suppress(asyncio.TimeoutError):
        cheap = [pair for pair in numbered if pair[1].kind not in KINDS]
        await asyncio.wait_for(work_on(cheap), cheap_s)
    return [done[number] for number in sorted(done)]


async def measure(
    spec: RewardSpec,
    answers: Sequence[Answer],
    references: Sequence[Row] = (),
    most_hangs: int = MOST_HANGS,
    cheap_s: float | None = None,
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
