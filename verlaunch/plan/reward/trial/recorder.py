"""A run's reward whose parts remember what each of them said to each row.

    reward, recorders = recorded(spec)
    await reward.score(row)
    recorders["rule_score"].said[id(row)].scores   # {"score": 1.0, "answered": 1.0}

The Reward itself keeps the same keys on every row and puts means where a part was not asked or
failed: right for curves, wrong for finding out what is wrong.
"""

import time
from dataclasses import dataclass

from rewards.build import make_part
from rewards.part import Failure, Part, Row
from rewards.reward import Reward
from rewards.spec import RewardSpec


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
        self.said[id(row)] = Said(time.perf_counter() - began, scores)
        return scores

    def curves(self) -> dict[str, float]:
        return self.part.curves()

    async def close(self) -> None:
        await self.part.close()


def recorded(spec: RewardSpec) -> tuple[Reward, dict[str, Recorder]]:
    """As rewards.build.build. Raises CannotStart."""
    recorders = {part.name: Recorder(make_part(part.source)) for part in spec.parts}
    return Reward(spec, recorders), recorders
