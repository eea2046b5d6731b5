"""What a run is about to do, in numbers: batch, steps, processes, Ray's share.

    make_plan(config, facts).steps.total    ->  32

Plain data: made from a composed configuration and facts of model, data and machine. Words are made
of it in rows.py (every start), page.py and document.py (a dry run).
"""

import math
from dataclasses import dataclass
from typing import Any

from verlaunch.config.batch import ACTOR_MICRO, CRITIC_MICRO, REF_MICRO, ROLLOUT_MICRO, Batch
from verlaunch.config.derive import Facts, steps_per_epoch
from verlaunch.config.tree import (
    ACTOR,
    ROLLOUT,
    Config,
    get,
    ranks,
    ranks_here,
    sequence_length,
    uses_critic,
    uses_reference,
)
from verlaunch.text import GIB, MIB

SERVERS_AT_ONCE = 2  # vLLM's, that find a CPU at the same time; the others come after them


def own_cards(launch: dict[str, Any]) -> int:
    """Of this machine, for the reward model alone: it lives on node 0."""
    return launch["rm_gpus"] if launch["node_rank"] == 0 else 0


def batch_of(verl: dict[str, Any]) -> Batch:
    # The reference's key counts only when there is a reference, the critic's likewise.
    counts = {
        ACTOR_MICRO: True,
        ROLLOUT_MICRO: True,
        REF_MICRO: uses_reference(verl),
        CRITIC_MICRO: uses_critic(verl),
    }
    packed = get(verl, f"{ACTOR}.use_dynamic_bsz")
    micro = [] if packed else [(key, get(verl, key)) for key in counts if counts[key]]
    return Batch(
        prompts_per_step=get(verl, "data.train_batch_size"),
        n=get(verl, f"{ROLLOUT}.n"),
        mini=get(verl, f"{ACTOR}.ppo_mini_batch_size"),
        ranks=ranks(verl),
        ppo_epochs=get(verl, f"{ACTOR}.ppo_epochs"),
        critic_mini=get(verl, "critic.ppo_mini_batch_size") if uses_critic(verl) else None,
        micro=tuple((key, size) for key, size in micro if size),
    )


def processes(verl: dict[str, Any]) -> int:
    """Python processes of ours and verl's beside Ray's own: what memory goes to."""
    replicas = ranks(verl) // get(verl, f"{ROLLOUT}.tensor_model_parallel_size")
    fixed = 3 + 1  # launcher, guardian, driver; trainer
    return fixed + ranks(verl) + 2 * replicas + rollout_workers(verl)


def rollout_workers(verl: dict[str, Any]) -> int:
    return get(verl, f"{ROLLOUT}.agent.num_workers")


def ray_cpus(verl: dict[str, Any]) -> int:
    """Logical CPUs of each machine: verl asks for 3 per rank, and waits for ever with fewer; the
    trainer and each rollout worker have 1, and so has a vLLM server until it is placed."""
    return 3 * ranks_here(verl) + rollout_workers(verl) + 1 + SERVERS_AT_ONCE


def object_store_bytes(batch: Batch, length: int, memory_gib: float) -> int:
    """Room for some steps of rows (ids, masks, log-probs: about 100 bytes a token)."""
    wanted = 8 * batch.sequences * length * 100
    return int(min(max(wanted, 200 * MIB), memory_gib * GIB * 0.2))


@dataclass(frozen=True)
class Plan:
    """processes: of Python, beside Ray's own. ray_cpus, ray_gpus: logical ones of this machine."""

    batch: Batch
    steps: "Steps"
    processes: int
    ray_cpus: int
    ray_gpus: int
    rollout_workers: int
    object_store_bytes: int


@dataclass(frozen=True)
class Steps:
    """validate_every: 0 for never. exact: False while only part of the data has been seen."""

    total: int
    per_epoch: int
    epochs: int
    validate_every: int
    validations: int
    save_every: int
    checkpoints: int
    exact: bool


def steps_of(verl: dict[str, Any], facts: Facts) -> Steps:
    total, save = get(verl, "trainer.total_training_steps"), get(verl, "trainer.save_freq")
    test, per_epoch = get(verl, "trainer.test_freq"), steps_per_epoch(verl, facts)
    before = bool(get(verl, "trainer.val_before_train"))
    # verl validates and saves after the last step too (trainer/ppo/v1/trainer_base.py:467)
    validations = math.ceil(total / test) + before if test > 0 else 0
    return Steps(
        total, per_epoch, math.ceil(total / per_epoch), max(0, test), validations, save,
        math.ceil(total / save), facts.rows_exact,
    )  # fmt: skip


def make_plan(config: Config, facts: Facts) -> Plan:
    """`config`: with no number left open."""
    verl, batch = config.verl, batch_of(config.verl)
    return Plan(
        batch=batch,
        steps=steps_of(verl, facts),
        processes=processes(verl),
        ray_cpus=ray_cpus(verl),
        ray_gpus=ranks_here(verl) + own_cards(config.launch),
        rollout_workers=rollout_workers(verl),
        object_store_bytes=object_store_bytes(batch, sequence_length(verl), facts.memory_gib),
    )
