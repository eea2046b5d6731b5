"""How many threads a rank computes with on the CPU.

Ray gives every worker one (OMP_NUM_THREADS=1, its share of logical CPUs), however many cores the
machine has and however few ranks share them; vLLM's engine inherits that from its server. A small
model keeps one: its sums are over before a second thread is awake (CPU demo: 1.3 s a step with one,
1.9 s with two).
"""

import os
from typing import Any

from verl.utils.device import get_device_name

SMALL = 256  # hidden size


def count(hidden_size: int, ranks_here: int) -> int:
    """Of the cores that this process may use; ranks compute at the same time."""
    if hidden_size < SMALL:
        return 1
    return max(1, len(os.sched_getaffinity(0)) // max(1, ranks_here))


def _hidden_size(model_config: Any) -> int:
    """A model of several parts says it of none of them here; it is no small one."""
    return getattr(getattr(model_config, "hf_config", None), "hidden_size", SMALL)


def use_for_training(model_config: Any) -> None:
    """In the thread of a rank that computes: OpenMP's number is each thread's own, and Ray makes a
    rank in another thread than it trains in. model_config: verl's HFModelConfig."""
    import torch

    if get_device_name() == "cpu":
        ranks = int(os.environ.get("RAY_LOCAL_WORLD_SIZE", "1"))
        wanted = count(_hidden_size(model_config), ranks)
        if torch.get_num_threads() != wanted:
            torch.set_num_threads(wanted)


def hand_to_vllm(model_config: Any) -> None:
    """In the process of a rollout server, before it starts its engine. Ray knows a node's ranks as
    its logical GPUs."""
    import ray

    if get_device_name() == "cpu":
        me = ray.get_runtime_context().get_node_id()
        here = next(node for node in ray.nodes() if node["NodeID"] == me)
        ranks = int(here["Resources"].get("GPU", 1))
        os.environ["OMP_NUM_THREADS"] = str(count(_hidden_size(model_config), ranks))
