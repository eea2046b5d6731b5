"""A rollout worker whose process starts, and imports verl, before there is anything to roll out.

The driver starts these as soon as Ray is up, so that their imports (6 s) run beside those of the
trainer; the rollout manager finds them by name and hands them their configuration. Importing this
module costs nothing.
"""

import os
from collections.abc import Mapping
from typing import Any

from verlaunch.engine import actors
from verlaunch.engine.actors import name_of


class RolloutShell:
    """Holds a `rollout.RolloutWorker`, in an asynchronous Ray actor."""

    def __init__(self, secrets: Mapping[str, str] | None = None) -> None:
        os.environ.update(secrets or {})  # see guest.py
        self.worker: Any = None

    async def load(self, model: str) -> None:
        """Does the imports, those behind a tokenizer too; until it returns, later calls wait."""
        from verl.workers.config import HFModelConfig

        import verlaunch.engine.rollout.rollout  # noqa: F401

        HFModelConfig(path=model)

    async def begin(self, *arguments: Any) -> None:
        """`arguments`: those of verl's AgentLoopWorker."""
        from verlaunch.engine.rollout.rollout import RolloutWorker

        self.worker = RolloutWorker(*arguments)

    async def report(self) -> dict[str, Any] | None:
        return self.worker.manager.report()

    async def generate_sequences(self, batch: Any) -> list[Any]:
        return await self.worker.generate_sequences(batch)


def start(count: int, model: str, secrets: Mapping[str, str] | None = None) -> list[Any]:
    """Starts `count` shells for the model in this folder; their handles keep them alive."""
    import ray

    here = actors.options()
    shell = ray.remote(num_cpus=1)(RolloutShell)
    shells = [shell.options(name=name_of(index), **here).remote(secrets) for index in range(count)]
    for handle in shells:
        handle.load.remote(model)
    return shells
