"""What a run is about to do, in numbers, with every problem that can be seen beforehand.

    plan = make_plan(config, model, facts, data_rows, gpus, output)
    print(plan.text());  plan.problems  ->  ()

Plain data: made from a composed configuration, the model's small files and counts of the data;
needs no torch, no Ray, and changes nothing on disk. Its rows are what every start shows; the longer
page and the JSON of a dry run are in planning/.
"""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from verlaunch.batch import (
    ACTOR_MICRO,
    CRITIC_MICRO,
    REF_MICRO,
    ROLLOUT_MICRO,
    Batch,
    plural,
    problems,
)
from verlaunch.checks import fit_problems, own_cards
from verlaunch.compose import Config, differences
from verlaunch.derive import (
    ACTOR,
    ROLLOUT,
    Facts,
    get,
    ranks,
    ranks_here,
    sequence_length,
    steps_per_epoch,
)
from verlaunch.keys import yaml_word
from verlaunch.models import Model
from verlaunch.planning.uses import uses_critic, uses_reference

LABEL = 12  # characters
LINE = 88
SERVERS_AT_ONCE = 2  # vLLM's, that find a CPU at the same time; the others come after them
Rows = tuple[tuple[str, str], ...]  # label, what a person reads

__all__ = ["Plan", "Rows", "Steps", "batch_of", "differing", "make_plan", "processes", "row",
           "steps_of"]  # fmt: skip


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


@dataclass(frozen=True)
class Plan:
    rows: Rows
    notes: tuple[str, ...]
    problems: tuple[str, ...]
    batch: Batch
    total_steps: int
    ray_cpus: int
    ray_gpus: int
    rollout_workers: int
    object_store_bytes: int
    warnings: tuple[str, ...] = ()

    def text(self) -> str:
        more = [("warning", warning) for warning in self.warnings]
        more += [("note", note) for note in self.notes]
        return "\n".join(row(*pair) for pair in (*self.rows, *more))


def row(label: str, value: str) -> str:
    """A label and its text, wrapped beside the label."""
    first, rest = f"  {label:<{LABEL}} ", " " * (LABEL + 3)
    return textwrap.fill(value, LINE, initial_indent=first, subsequent_indent=rest,
                         break_long_words=False, break_on_hyphens=False)  # fmt: skip


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
    return fixed + ranks(verl) + 2 * replicas + _rollout_workers(verl)


def _rollout_workers(verl: dict[str, Any]) -> int:
    return get(verl, f"{ROLLOUT}.agent.num_workers")


def _ray_cpus(verl: dict[str, Any]) -> int:
    """Logical CPUs of each machine: verl asks for 3 per rank, and waits for ever with fewer; the
    trainer and each rollout worker have 1, and so has a vLLM server until it is placed."""
    return 3 * ranks_here(verl) + _rollout_workers(verl) + 1 + SERVERS_AT_ONCE


def object_store_bytes(batch: Batch, length: int, memory_gib: float) -> int:
    """Room for some steps of rows (ids, masks, log-probs: about 100 bytes a token)."""
    wanted = 8 * batch.sequences * length * 100
    return int(min(max(wanted, 200 * 2**20), memory_gib * 2**30 * 0.2))


def make_plan(
    config: Config,
    model: Model,
    facts: Facts,
    data_rows: Rows,
    gpus: int,
    output: str,
    more_rows: Rows = (),
    warnings: Sequence[str] = (),
) -> Plan:
    """`gpus`: cards on this machine; 0 on the CPU, where ranks are processes. `more_rows`: of roles
    and memory.
    """
    verl = config.verl
    batch = batch_of(verl)
    rows = facts.train_rows if facts.rows_exact else None
    found = problems(batch, rows) + fit_problems(config, model, gpus)
    return Plan(
        (
            ("model", f"{model.name} ({model.architecture}, vocabulary {model.vocab_size})"),
            ("hardware", _hardware(config, gpus)),
            *data_rows,
            ("batch", str(batch)),
            ("length", _length(steps_of(verl, facts))),
            ("algorithm", _algorithm(verl, config.launch)),
            *more_rows,
            ("output", output),
        ),
        config.notes,
        tuple(found),
        batch,
        get(verl, "trainer.total_training_steps"),
        _ray_cpus(verl),
        ranks_here(verl) + own_cards(config.launch),
        _rollout_workers(verl),
        object_store_bytes(batch, sequence_length(verl), facts.memory_gib),
        tuple(warnings),
    )


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


def _length(steps: Steps) -> str:
    least = "" if steps.exact else "at least "
    often = f"every {plural(steps.validate_every, 'step')}"
    validation = f"validation {often}" if steps.validate_every else "no validation"
    return (
        f"{plural(steps.total, 'step')}, {least}{steps.per_epoch} per epoch; {validation}, "
        f"checkpoint every {steps.save_every}"
    )


def _hardware(config: Config, gpus: int) -> str:
    world = ranks(config.verl)
    tp = get(config.verl, f"{ROLLOUT}.tensor_model_parallel_size")
    nodes = get(config.verl, "trainer.nnodes")
    used = f"{ranks_here(config.verl)} of {plural(gpus, 'GPU')}"
    what = used if config.hardware == "gpu" else "CPU"
    what += f" {'on' if config.hardware == 'gpu' else 'of'} each of {nodes} nodes" * (nodes > 1)
    copies = plural(max(1, world // tp), "rollout replica")
    return f"{what}; {plural(world, 'FSDP rank')}, {copies}" + (f" of {tp} ranks" * (tp > 1))


def _algorithm(verl: dict[str, Any], launch: dict[str, Any]) -> str:
    parts = [f"{get(verl, 'algorithm.adv_estimator')}"]
    if uses_critic(verl):
        parts.append(f"gamma {get(verl, 'algorithm.gamma')}, lambda {get(verl, 'algorithm.lam')}")
        parts += [] if launch["whiten_advantages"] else ["advantages as they are"]
        parts.append(f"critic lr {get(verl, 'critic.optim.lr')}")
    parts.append(f"actor lr {get(verl, f'{ACTOR}.optim.lr')}")
    if uses_reference(verl):
        parts.append(_kl(verl))
    if launch["stop_kl"]:
        parts.append(f"updates stop above a KL of {launch['stop_kl']} per token")
    if get(verl, "actor_rollout_ref.model.lora_rank"):
        parts.append(f"LoRA rank {get(verl, 'actor_rollout_ref.model.lora_rank')}")
    return ", ".join(parts)


def _kl(verl: dict[str, Any]) -> str:
    if not get(verl, "algorithm.use_kl_in_reward"):
        return f"KL {get(verl, f'{ACTOR}.kl_loss_coef')} in the loss"
    control = get(verl, "algorithm.kl_ctrl")
    target = f" at first, towards {control['target_kl']} nats per response"
    adaptive = control["type"] == "adaptive"
    return f"KL {control['kl_coef']} in the reward" + target * adaptive


def differing(config: Config) -> list[str]:
    """verl's keys that this run sets otherwise than verl itself, as `key=value` lines."""
    return [f"{key}={yaml_word(ours)}" for key, (_, ours) in differences(config).items()]
