"""What a run is about to do, in numbers.

    make_plan(config, facts).steps.total    ->  32

Plain data: made from a composed configuration and facts of model, data and machine; needs no torch,
no Ray, and changes nothing on disk. Words are made of it in rows.py (every start),
page.py and document.py (a dry run).
"""

from dataclasses import dataclass

from verlaunch.config.batch import Batch
from verlaunch.config.derive import Facts
from verlaunch.config.tree import Config, ranks_here, sequence_length
from verlaunch.plan import sizes
from verlaunch.plan.sizes import Steps


@dataclass(frozen=True)
class Plan:
    """processes: of Python, beside Ray's own. ray_cpus, ray_gpus: logical ones of this machine."""

    batch: Batch
    steps: Steps
    processes: int
    ray_cpus: int
    ray_gpus: int
    rollout_workers: int
    object_store_bytes: int


def make_plan(config: Config, facts: Facts) -> Plan:
    """`config`: with no number left open."""
    verl = config.verl
    batch = sizes.batch_of(verl)
    return Plan(
        batch=batch,
        steps=sizes.steps_of(verl, facts),
        processes=sizes.processes(verl),
        ray_cpus=sizes.ray_cpus(verl),
        ray_gpus=ranks_here(verl) + sizes.own_cards(config.launch),
        rollout_workers=sizes.rollout_workers(verl),
        object_store_bytes=sizes.object_store_bytes(batch, sequence_length(verl), facts.memory_gib),
    )
