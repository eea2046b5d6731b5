"""What a run is about to do, in numbers.

    print(make_plan(config, model, facts, data_rows, gpus, output).text())

Plain data: made from a composed configuration, the model's small files and counts of the data;
needs no torch, no Ray, and changes nothing on disk. Its rows are what every start shows; the longer
page and the JSON of a dry run are page.py and document.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from verlaunch.config.batch import Batch
from verlaunch.config.compose import differences
from verlaunch.config.derive import Facts
from verlaunch.config.keys import yaml_word
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
from verlaunch.inputs.models import Model
from verlaunch.plan.sizes import (
    Steps,
    _ray_cpus,
    _rollout_workers,
    batch_of,
    object_store_bytes,
    own_cards,
    steps_of,
)
from verlaunch.text import Rows, plural, row


@dataclass(frozen=True)
class Plan:
    rows: Rows
    notes: tuple[str, ...]
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
        batch,
        get(verl, "trainer.total_training_steps"),
        _ray_cpus(verl),
        ranks_here(verl) + own_cards(config.launch),
        _rollout_workers(verl),
        object_store_bytes(batch, sequence_length(verl), facts.memory_gib),
        tuple(warnings),
    )


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
