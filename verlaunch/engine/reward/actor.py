"""The one Ray actor of a run that holds what is expensive or limited: reward models and judges.

    actor = start(config, gpus=0)            # in the driver, beside everything else that starts
    ray.get(actor.begin.remote(references, told))
    ray.get_actor(NAME).score.remote(asdict(row))

Limits, caches, scales and counters are exact because there is one of each, in one asyncio loop,
however many rollout workers call. Importing this module costs nothing.
"""

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import Any

from rewards.build import build
from rewards.part import CannotStart, Row
from verlaunch.engine import actors
from verlaunch.engine.actors import NAME
from verlaunch.engine.reward import settings as reward_settings

CARDS_S = 60  # nothing else asks for any before
CALLS_AT_ONCE = 100_000  # more than any step has responses: waiting is the limits' business


class RewardActor:
    """Scores wait until `begin` has returned. `cards`: what CUDA shall show; None leaves it."""

    def __init__(
        self, config: Mapping[str, Any], cards: str | None, secrets: Mapping[str, str] | None = None
    ) -> None:
        os.environ.update(secrets or {})  # see guest.py
        if cards is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = cards  # Ray hides every card from 0 GPUs
        settings = reward_settings.read(config)
        self.reward = build(settings.spec, settings.keys, settings.state)
        self.ready = asyncio.Event()

    async def begin(self, references: Sequence[dict[str, Any]], told: Sequence[str]) -> list[str]:
        """Notes for the screen. Raises CannotStart."""
        rows = [Row(**row) for row in references]
        try:
            notes = await self.reward.start(rows, told)
        except CannotStart as error:
            raise CannotStart(str(error)) from None  # its cause may not pickle
        self.ready.set()
        return notes

    async def score(self, row: dict[str, Any]) -> tuple[Any, ...]:
        """The fields of a rewards.reward.Result."""
        await self.ready.wait()
        result = await self.reward.score(Row(**row))
        return result.score, result.parts, result.failed, result.reason, result.texts

    async def report(self) -> dict[str, Any]:
        return report(self.reward)

    async def close(self) -> None:
        await self.reward.close()


def report(reward: Any) -> dict[str, Any]:
    """stop: why the run should end, or None; curves: by name; state: for a checkpoint."""
    return {"stop": reward.stop_reason(), "curves": reward.curves(), "state": reward.state()}


def start(
    config: dict[str, Any],
    gpus: int,
    cards: str | None = None,
    secrets: Mapping[str, str] | None = None,
) -> Any:
    """The actor's handle, which keeps it alive. gpus: cards of its own."""
    import ray

    options = {"name": NAME, "max_concurrency": CALLS_AT_ONCE, "num_cpus": 0, "num_gpus": gpus}
    where = _own_cards(gpus) if gpus else actors.options()
    return ray.remote(RewardActor).options(**options, **where).remote(config, cards, secrets)


def _own_cards(gpus: int) -> dict[str, Any]:
    """Taken at once: verl's ranks would else fill this machine's cards, all of them."""
    from ray.util.placement_group import placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    group = placement_group([{"GPU": gpus, actors.resource(): 0.001}], strategy="STRICT_PACK")
    if not group.wait(CARDS_S):
        raise TimeoutError(f"Ray did not give the reward model its GPUs within {CARDS_S} s")
    return {"scheduling_strategy": PlacementGroupSchedulingStrategy(group)}
