"""What --fit auto may turn, and how far: each knob with its positions, the cheapest first.

    knobs(config, shape, use)  ->  ((STAY, Position({TOKENS: 2048}, {"micro_tokens": 2048})), ...)

A knob whose key was given by a flag, a variable, an override or the recipe has one position: where
it stands. Left out on purpose: what changes the training itself (lengths, batch sizes).
"""

import functools
from collections.abc import Set
from dataclasses import dataclass, replace
from math import log2
from typing import Any

from verlaunch.config.batch import CRITIC_MICRO
from verlaunch.config.flags import load_table
from verlaunch.config.tree import Config
from verlaunch.plan.memory.memory_keys import (
    CHECKPOINTING,
    CRITIC_TOKENS,
    KV_CACHE,
    LORA_RANK,
    MICRO,
    OFFLOAD,
    TOKENS,
    TP,
    UTILIZATION,
    halvings,
    more_offload,
    offload_of,
    smaller,
)  # fmt: skip
from verlaunch.plan.memory.shape import Shape
from verlaunch.plan.memory.use import Use
from verlaunch.text import MIB, gib

Values = dict[str, Any]

MIN_CACHE = 16 * MIB  # bytes

# Costs give an order, not seconds: which of two settings that fit a person would rather have.
HALVING = 1.0  # of a micro batch: more of them, and FSDP gathers the weights for each
NUDGE = 0.5  # per 0.05 of utilisation: costs nothing while the KV cache holds what runs
CHECKPOINT = 12.0  # each layer's forward twice in the updates (arXiv 1604.06174)
MOMENTS = 20.0  # optimizer states to the card and back, once per step and role
DOUBLING = 25.0  # of tp: an all-reduce after each half layer, and half as many replicas
EVERYTHING = 100.0  # weights too, at every phase
SHORT_CACHE = 10.0  # per doubling of the rounds in which responses are generated


@dataclass(frozen=True)
class Position:
    """Where a knob may stand.

    values: keys to fill. fields: the same, of `Use`. typed: the same, "--tp_size 2". words: what it
    is told as. price: what it costs, a clause. cache: how large it makes vLLM's cache, for
    comparing positions of a knob.
    """

    values: Values
    fields: Values
    typed: str = ""
    cost: float = 0.0
    words: str = ""
    price: str = ""
    cache: float = 0.0


STAY = Position({}, {})
Knob = tuple[Position, ...]


def knobs(config: Config, shape: Shape, use: Use, critic: Shape | None = None) -> tuple[Knob, ...]:
    """Every knob that --fit auto may turn; that of vLLM's cache is the last one."""
    held = config.given | config.recipe_keys
    return all_knobs(shape, use, critic, held, config.launch["offload"])


def all_knobs(
    shape: Shape,
    use: Use,
    critic: Shape | None,
    held: Set[str] = frozenset(),
    offload: str = "none",
) -> tuple[Knob, ...]:
    """`critic`: None when it starts from the policy's model. `held`: keys that stay as they are;
    without them, this is what a person may turn. `offload`: as it was typed."""
    common = (_tokens(held, use), _checkpointing(held, use))
    if use.hardware == "cpu":
        return (*common, _kv_cache(held, shape, use))
    own = (_offload(held, shape, critic or shape, use, offload), _tp(held, shape, use))
    return (*common, *own, _utilization(held, use))


def offload_fields(to: str) -> Values:
    """Of `Use`."""
    moments, weights = to != "none", to == "all"
    return {
        "optimizer_offload": moments,
        "critic_optimizer_offload": moments,
        "param_offload": weights,
        "critic_param_offload": weights,
    }


def with_adapter(use: Use) -> Use | None:
    """An adapter only; the model without it is the reference (trainer_base.py:236)."""
    return None if use.lora_rank else replace(use, lora_rank=LORA_RANK, reference=False)


def _tokens(held: Set[str], use: Use) -> Knob:
    key, critic_key = (TOKENS, CRITIC_TOKENS) if use.packed else (MICRO, CRITIC_MICRO)
    if key in held:
        return (STAY,)
    unit = 1 if use.packed else use.length
    sizes = smaller(use.packed, use.micro_tokens // unit, use.length)
    follows = critic_key not in held
    return (STAY, *(_smaller(key, size, unit, use, follows) for size in sizes))


def _smaller(key: str, size: int, unit: int, use: Use, follows: bool) -> Position:
    """`follows`: whether the critic's micro batch does."""
    what, tokens = "tokens" if unit == 1 else "responses", size * unit
    critic = use.critic_tokens or use.micro_tokens
    critic = min(tokens, critic) if follows else critic
    return Position(
        {key: size},
        {"micro_tokens": tokens, "critic_tokens": None if critic == tokens else critic},
        f"{key}={size}",
        HALVING * log2(use.micro_tokens / tokens),
        f"micro batches of {size} {what} instead of {use.micro_tokens // unit} ({key}={size})",
        "more and smaller micro batches, for each of which FSDP gathers the weights",
    )


def _checkpointing(held: Set[str], use: Use) -> Knob:
    """Off on the CPU by default (hardware/cpu.yaml), on with GPUs."""
    has = {"checkpointing": True, "critic_checkpointing": use.critic}
    off = {
        key: field
        for key, field in CHECKPOINTING.items()
        if has[field] and not getattr(use, field) and key not in held
    }
    if not off:
        return (STAY,)
    typed = [f"{key}=true" for key in off]
    words = f"gradient checkpointing ({', '.join(typed)})"
    price = "each layer computes its forward pass twice in the updates"
    values, fields = dict.fromkeys(off, True), dict.fromkeys(off.values(), True)
    return (STAY, Position(values, fields, " ".join(typed), CHECKPOINT, words, price))


def _offload(held: Set[str], shape: Shape, critic: Shape, use: Use, typed: str) -> Knob:
    choices = _offload_choices()
    if held & {OFFLOAD, *choices["all"]}:
        return (STAY,)
    more = more_offload(offload_of(use.optimizer_offload, use.param_offload))
    return (STAY, *(_offloaded(choices[to], typed, to, shape, critic, use) for to in more))


@functools.cache
def _offload_choices() -> dict[str, Values]:
    """What --offload sets, by its value: flags.yaml says."""
    choices = next(flag.choices for flag in load_table() if flag.name == "offload")
    assert isinstance(choices, dict)
    return choices


def _offloaded(keys: Values, now: str, to: str, shape: Shape, critic: Shape, use: Use) -> Position:
    moments = gib(2 * _trained(shape, critic, use) * 8 / use.shards)  # two fp32 numbers each
    everything = to == "all"
    what = "weights and optimizer states" if everything else "optimizer states"
    return Position(
        {OFFLOAD: to, **keys},
        offload_fields(to),
        f"--offload {to}",
        EVERYTHING if everything else MOMENTS,
        f"--offload {to} instead of {now}",
        f"{what} wait in main memory, and each step moves {moments} of optimizer states per GPU"
        + " over the bus"
        + ", and the weights at every phase" * everything,
    )


def _trained(shape: Shape, critic: Shape, use: Use) -> int:
    """Numbers with optimizer states; of the policy only the adapter with LoRA."""
    adapter = sum((linear.inputs + linear.outputs) * linear.count for linear in shape.linears)
    policy = use.lora_rank * adapter if use.lora_rank else shape.parameters
    return policy + (critic.parameters if use.critic else 0)


def _utilization(held: Set[str], use: Use) -> Knob:
    if held & {UTILIZATION, KV_CACHE} or use.kv_cache_bytes:
        return (STAY,)
    shares = [share / 100 for share in range(10, 95, 5) if share / 100 != use.utilization]
    return (replace(STAY, cache=use.utilization), *(_share(share, use) for share in shares))


def _share(share: float, use: Use) -> Position:
    lower = share < use.utilization
    return Position(
        {UTILIZATION: share},
        {"utilization": share},
        typed := f"--gpu_memory_utilization {share:g}",
        NUDGE * abs(share - use.utilization) / 0.05,
        f"{typed} instead of {use.utilization:g}",
        f"vLLM has {'less' if lower else 'more'} room for keys and values",
        share,
    )


def _tp(held: Set[str], shape: Shape, use: Use) -> Knob:
    if TP in held:
        return (STAY,)
    sizes = range(use.tp + 1, use.gpus_per_node + 1)
    return (STAY, *(_spread(size, use) for size in sizes if _divides(size, shape, use)))


def _divides(tp: int, shape: Shape, use: Use) -> bool:
    """vLLM splits the heads; key-value heads too, or copies them whole
    (model_executor/models/qwen2.py:146)."""
    keys = shape.kv_heads % tp == 0 or tp % shape.kv_heads == 0
    evenly = use.gpus_per_node % tp == shape.heads % tp == shape.intermediate % tp == 0
    return keys and evenly


def _spread(tp: int, use: Use) -> Position:
    replicas = use.ranks // tp
    return Position(
        {TP: tp},
        {"tp": tp},
        typed := f"--tp_size {tp}",
        DOUBLING * log2(tp / use.tp),
        f"{typed} instead of {use.tp}",
        f"{tp} GPUs share a copy of the model in vLLM and talk in every layer; "
        f"{replicas} {'copy' if replicas == 1 else 'copies'} generate{'s' * (replicas == 1)}",
    )


def _kv_cache(held: Set[str], shape: Shape, use: Use) -> Knob:
    """On the CPU, down to two sequences of full length in fp32; vLLM needs one to start."""
    if KV_CACHE in held or not use.kv_cache_bytes:
        return (STAY,)
    per_token = 2 * shape.layers * shape.kv_heads * shape.head_dim * 4
    least = max(MIN_CACHE, 2 * use.length * per_token)
    sizes = halvings(use.kv_cache_bytes, least)
    stay = replace(STAY, cache=use.kv_cache_bytes)
    return (stay, *(_cache(size, use.kv_cache_bytes, at) for at, size in enumerate(sizes, 1)))


def _cache(size: int, now: int, at: int) -> Position:
    return Position(
        {KV_CACHE: size},
        {"kv_cache_bytes": size},
        typed := f"{KV_CACHE}={size}",
        HALVING * at,
        f"a KV cache of {gib(size)} instead of {gib(now)} ({typed})",
        "fewer responses are generated at the same time",
        size,
    )
