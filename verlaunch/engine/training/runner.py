"""The Ray actor that holds the trainer: verl's TaskRunner, started without importing verl first.

The driver names this class without paying for verl's import; the actor pays, in parallel with the
rest of the start.
"""

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def _replica() -> type:
    from verlaunch.engine.rollout.server import Replica

    return Replica


def _serve() -> None:
    """Our rollout servers in the place of verl's, and no load balancer: verl starts one in a
    process that imports all of verl (0.6 GiB), and has a key for another one, but none for none
    (workers/rollout/router.py:397). Our clients choose servers themselves."""
    from verl.workers.rollout import replica, router

    replica.RolloutReplicaRegistry.register("vllm", _replica)
    router.get_router_handle = lambda **_: None
    # Needed when the servers start; imported while the training ranks import what they need.
    threading.Thread(target=_replica).start()


class Runner:
    """`run` returns when training is over; what goes wrong in it is raised in the driver.

    `secrets`: variables that a cluster of others does not hand to its workers (guest.py).
    """

    def __init__(self, secrets: Mapping[str, str] | None = None) -> None:
        os.environ.update(secrets or {})

    def run(
        self, config: dict[str, Any], training: dict[str, Any], record: str, export: str | None
    ) -> None:
        from omegaconf import OmegaConf

        tree = OmegaConf.create(config)
        from verl.plugin.platform.platform_manager import PlatformRegistry
        from verl.trainer.main_ppo import TaskRunnerV1
        from verl.trainer.ppo.utils import need_critic, need_reference_policy
        from verl.utils.config import validate_config

        from verlaunch.config.trainer_extras import TrainerSettings
        from verlaunch.engine.rollout import queue
        from verlaunch.engine.training import shortcuts
        from verlaunch.engine.training.patience import PatientChannel
        from verlaunch.engine.training.trainer import Trainer
        from verlaunch.record.channel import STOP_SOON

        if PlatformRegistry.get("cpu") is None:
            raise RuntimeError("verl did not load the entry point verl.plugins of verlaunch")
        channel = Trainer.channel = PatientChannel(Path(record))
        Trainer.training = TrainerSettings(**training)
        channel.phase("loading models")
        validate_config(tree, need_reference_policy(tree), need_critic(tree))
        queue.install()
        shortcuts.install()
        _serve()
        task = TaskRunnerV1.__ray_actor_class__()
        task.run(tree)
        trainer = task.trainer
        if channel.stop_requested() == STOP_SOON:
            return  # no time for what can be done later
        if export and trainer.saved_step and trainer.export_last(Path(export)):
            channel.event("exported", path=export, step=trainer.saved_step)
        if trainer.failure:
            channel.event("failed", reason=trainer.failure)
        if not trainer.owes_an_epoch:
            channel.event("finished", step=trainer.saved_step)
