"""Scores answers by a run's whole reward, many at once where that helps, and times each one.

    reward, recorders = recorded(spec)
    scored = await score_all(reward, recorders, answers, at_once(spec))

It stops early where going on would cost time or money for nothing: a judge that a run would stop
for, or a function that hangs again and again. Answers that were not reached are left out.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rewards.reward import Result, Reward
from rewards.spec import JudgeSpec, ModelSpec, RewardSpec, RuleSpec
from verlaunch.tools.score.answers import Answer
from verlaunch.tools.score.recorder import Recorder, Said

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


def is_hopeless(reward: Reward) -> bool:
    if _most(reward, "hang") >= MOST_HANGS or _most(reward, "load"):
        return True
    return not reward.spec.is_local and reward.stop_reason() is not None


async def score_all(
    reward: Reward, recorders: Mapping[str, Recorder], answers: Sequence[Answer], workers: int
) -> list[Scored]:
    """The answers' scores in the answers' order."""
    waiting = iter(enumerate(answers))
    done: dict[int, Scored] = {}

    async def work() -> None:
        for number, answer in waiting:
            if is_hopeless(reward):
                return
            began, row = time.perf_counter(), answer.row
            result = await reward.score(row)
            latency_s = time.perf_counter() - began
            said = {name: r.said[id(row)] for name, r in recorders.items() if id(row) in r.said}
            done[number] = Scored(answer, result, latency_s, said)

    await asyncio.gather(*[work() for _ in range(min(workers, len(answers)))])
    return [done[number] for number in sorted(done)]
