"""The Ray actor that holds the trainer: verl's TaskRunner, started without importing verl first.

The driver names this class without paying for verl's import; the actor pays, in parallel with the
rest of the start.
"""

import importlib
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from verlaunch.engine import home, router

ROLLOUT_SERVER = "verl.workers.rollout.vllm_rollout.vllm_async_server"


def _start_queue(config: Any) -> None:
    """verl's queue in its own processes, early; verl's own call then finds it."""
    import transfer_queue

    transfer_queue.init(config)


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

        config["actor_rollout_ref"]["rollout"]["router_config_path"] = str(router.CONFIG)
        storage = config["transfer_queue"]["backend"]["SimpleStorage"]
        storage["required_node_resource"] = home.resource()  # beside who reads it all
        tree = OmegaConf.create(config)
        queue = threading.Thread(target=_start_queue, args=(tree.transfer_queue,))
        queue.start()
        from verl.plugin.platform.platform_manager import PlatformRegistry
        from verl.trainer.main_ppo import TaskRunnerV1
        from verl.trainer.ppo.utils import need_critic, need_reference_policy
        from verl.utils.config import validate_config

        from verlaunch.engine.patience import PatientChannel
        from verlaunch.engine.trainer import Trainer
        from verlaunch.record import STOP_SOON
        from verlaunch.training import TrainerSettings

        if PlatformRegistry.get("cpu") is None:
            raise RuntimeError("verl did not load the entry point verl.plugins of verlaunch")
        channel = Trainer.channel = PatientChannel(Path(record))
        Trainer.training = TrainerSettings(**training)
        channel.phase("loading models")
        validate_config(tree, need_reference_policy(tree), need_critic(tree))
        queue.join()
        # Needed when the rollout servers start; imported while the training ranks import theirs.
        threading.Thread(target=importlib.import_module, args=(ROLLOUT_SERVER,)).start()
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
