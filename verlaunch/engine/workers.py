"""Training workers whose process group and engines exist on every device.

verl opens the group with the backend string "cpu:gloo,<device>:<backend>"
(verl/utils/distributed.py:84), which on the CPU names the same device twice. Opening it first makes
verl's own call a no-op.
"""

from verl.single_controller.base.decorator import Dispatch, register
from verl.utils.device import get_device_name
from verl.utils.distributed import initialize_global_process_group_ray
from verl.workers.engine_workers import ActorRolloutRefWorker, TrainingWorker, TrainingWorkerConfig

from verlaunch.engine import engines, memory

__all__ = ["ActorRolloutRef", "Training", "engines"]


class Training(TrainingWorker):
    """One rank of the critic, or of the actor or reference inside `ActorRolloutRef`."""

    def __init__(self, config: TrainingWorkerConfig) -> None:
        if get_device_name() == "cpu":
            initialize_global_process_group_ray(None, backend="cpu:gloo")
        super().__init__(config)


class ActorRolloutRef(ActorRolloutRefWorker):
    """One rank of actor and reference, and the sender of weights to its rollout replica."""

    actor_worker_cls = Training
    ref_worker_cls = Training

    @register(dispatch_mode=Dispatch.ONE_TO_ALL)
    def init_model(self) -> None:
        super().init_model()
        memory.freeze()
