"""Where what belongs to the run as a whole lives: on the node of the driver.

    ray.remote(Runner).options(**home.options()).remote()

Trainer, rollout workers and reward write the record, read the data and hold the keys, which other
machines may lack.
"""

from typing import Any

NAME = "verlaunch-reward"


def options() -> dict[str, Any]:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = ray.get_runtime_context().get_node_id()
    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(here, soft=False)}


def resource() -> str:
    """The resource that this process's node alone has."""
    import ray

    return f"node:{ray.util.get_node_ip_address()}"


def name_of(index: int) -> str:
    return f"verlaunch-rollout-{index}"
