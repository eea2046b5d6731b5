"""Training workers for every device, which leave updates out once the policy has moved too far.

verl opens the process group with the backend string "cpu:gloo,<device>:<backend>"
(verl/utils/distributed.py:84), which on the CPU names the same device twice. Opening it first makes
verl's own call a no-op.

The actor's epochs and mini batches are a loop in verl's worker (engine_workers.py:289), which has
no way out: after a stop its turns come to nothing here, but for the learning rate's schedule, that
goes on with the last one (engine_workers.py:308).
"""

from tensordict import TensorDict
from verl.single_controller.base.decorator import (
    Dispatch,
    make_nd_compute_dataproto_dispatch_fn,
    register,
)
from verl.utils import tensordict_utils as tu
from verl.utils.device import get_device_name
from verl.utils.distributed import initialize_global_process_group_ray
from verl.workers.engine_workers import ActorRolloutRefWorker, TrainingWorker, TrainingWorkerConfig

from verlaunch.engine.rollout import handover
from verlaunch.engine.training import shortcuts
from verlaunch.engine.training.engines import as_if  # and its engines are known to verl
from verlaunch.engine.training.updates import Updates
from verlaunch.machine import garbage

# A method that is overridden stays one that the trainer can call, if it is registered again.
on_all_ranks = register(
    dispatch_mode=make_nd_compute_dataproto_dispatch_fn(mesh_name="train"), blocking=False
)


class Training(TrainingWorker):
    """One rank of the critic, or of the actor or reference inside `ActorRolloutRef`."""

    short = True  # what verl does for nothing is left out; see shortcuts.py
    updates: Updates | None = None  # while the actor is updated

    def __init__(self, config: TrainingWorkerConfig) -> None:
        if self.short:
            shortcuts.install()
        if get_device_name() == "cpu":
            initialize_global_process_group_ray(None, backend="cpu:gloo")
        super().__init__(config)

    @on_all_ranks
    def train_mini_batch(self, data: TensorDict) -> TensorDict | None:
        limit = tu.pop(data, key="stop_kl")
        if limit is None:  # the critic's
            return super().train_mini_batch(data)
        ranks = self.engine.get_data_parallel_size()
        updates = Updates(limit, len(data) * ranks // tu.get(data, key="mini_batch_size"))
        loss = updates.measuring(self.loss_fn)
        with (
            as_if(self, updates=updates, loss_fn=loss),
            as_if(self.engine, may_step=updates.allow, missed=updates.miss),
        ):
            output = super().train_mini_batch(data)
        if output is not None:
            tu.get(output, key="metrics").update(updates.metrics())
        return output

    @on_all_ranks
    def train_batch(self, data: TensorDict) -> TensorDict | None:
        if self.updates and self.updates.stopped:
            return self._left_out(data)
        return super().train_batch(data)

    def _left_out(self, data: TensorDict) -> TensorDict | None:
        last = tu.get(data, key="update_lr_scheduler", default=False)
        metrics = {"lr": self.engine.lr_scheduler_step()} if last else {}
        if not self.engine.is_mp_src_rank_with_outputs():
            return None
        return tu.get_tensordict(tensor_dict={}, non_tensor_dict={"metrics": metrics})


class ActorRolloutRef(ActorRolloutRefWorker):
    """One rank of actor and reference, and the sender of weights to its rollout replica."""

    actor_worker_cls = Training
    ref_worker_cls = Training

    @register(dispatch_mode=Dispatch.ONE_TO_ALL)
    def init_model(self) -> None:
        super().init_model()
        if self.rollout is not None:
            self.rollout.zmq_handle = handover.of_run(self.rollout.zmq_handle)
        garbage.freeze()

    # Both as verl's, but for who waits: see Trainer._compute_old_log_prob.
    @register(
        dispatch_mode=make_nd_compute_dataproto_dispatch_fn(mesh_name="actor"), blocking=False
    )
    def compute_log_prob(self, data: TensorDict) -> TensorDict | None:
        return super().compute_log_prob(data)

    @register(dispatch_mode=make_nd_compute_dataproto_dispatch_fn(mesh_name="ref"), blocking=False)
    def compute_ref_log_prob(self, data: TensorDict) -> TensorDict | None:
        return super().compute_ref_log_prob(data)
