"""What --fit auto may turn, and how far: each knob with its positions, the cheapest first.

    knobs(shape, use)  ->  ((STAY, Position({TOKENS: 2048}, "...=2048", 1.0)), ...)

A knob whose key is held (a flag, a variable, an override or the recipe gave it) has one position:
where it stands. Left out on purpose: what changes the training itself (lengths, batch sizes).
"""

import functools
from collections.abc import Set
from dataclasses import dataclass, replace
from math import log2
from typing import Any

from verlaunch.config.batch import CRITIC_MICRO
from verlaunch.config.flags import load_table
from verlaunch.plan.memory.memory_keys import (
    CHECKPOINTING,
    CRITIC_TOKENS,
    KV_CACHE,
    MICRO,
    OFFLOAD,
    OFFLOADS,
    TOKENS,
    TP,
    UTILIZATION,
    halvings,
    offload_of,
    smaller,
)  # fmt: skip
from verlaunch.plan.memory.shape import Shape
from verlaunch.plan.memory.trained_models import adapter
from verlaunch.plan.memory.use import FIELDS, Use
from verlaunch.text import MIB, gib, plural

Values = dict[str, Any]

MIN_CACHE = 16 * MIB  # bytes

# Costs give an order, not seconds: which of two settings that fit a person would rather have.
HALVING = 1.0  # of a micro batch: more of them, and FSDP gathers the weights for each
NUDGE = 0.5  # per 0.05 of utilisation: costs nothing while the KV cache holds what runs
CHECKPOINT = 12.0  # each layer's forward twice in the updates (arXiv 1604.06174)
DOUBLING = 25.0  # of tp: an all-reduce after each half layer, and half as many replicas
# Optimizer states to the card and back, once per step and role; weights too, at every phase.
OFFLOADING = {"none": 0.0, "optimizer": 20.0, "all": 100.0}
SHORT_CACHE = 10.0  # per doubling of the rounds in which responses are generated


@dataclass(frozen=True)
class Position:
    """Where a knob may stand.

    values: keys to fill. typed: the same, "--tp_size 2". words: what it is told as. price: what it
    costs, a clause. cache: how large it makes vLLM's cache, for comparing positions of a knob.
    tokens: fields of `Use` that no key decides alone.
    """

    values: Values
    typed: str = ""
    cost: float = 0.0
    words: str = ""
    price: str = ""
    cache: float = 0.0
    tokens: Values | None = None

    @property
    def fields(self) -> Values:
        """The values, as fields of `Use`."""
        own = {FIELDS[key]: value for key, value in self.values.items() if key in FIELDS}
        return own if self.tokens is None else self.tokens


STAY = Position({})
Knob = tuple[Position, ...]


def knobs(
    shape: Shape, use: Use, critic: Shape | None = None, held: Set[str] = frozenset()
) -> tuple[Knob, ...]:
    """`critic`: None when it starts from the policy's model. `held`: keys that stay as they are;
    without them, this is what a person may turn. The knob of vLLM's cache is the last one."""
    common = (_tokens(held, use), _checkpointing(held, use))
    if use.hardware == "cpu":
        return (*common, _kv_cache(held, shape, use))
    own = (_offload(held, shape, critic or shape, use), _tp(held, shape, use))
    return (*common, *own, _utilization(held, use))


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
        f"{key}={size}",
        HALVING * log2(use.micro_tokens / tokens),
        f"micro batches of {size} {what} instead of {use.micro_tokens // unit} ({key}={size})",
        "more and smaller micro batches, for each of which FSDP gathers the weights",
        tokens={"micro_tokens": tokens, "critic_tokens": None if critic == tokens else critic},
    )


def _checkpointing(held: Set[str], use: Use) -> Knob:
    """Off on the CPU by default (hardware/cpu.yaml), on with GPUs."""
    has = {"checkpointing": True, "critic_checkpointing": use.critic}
    off = [
        key
        for key, field in CHECKPOINTING.items()
        if has[field] and not getattr(use, field) and key not in held
    ]
    if not off:
        return (STAY,)
    typed = [f"{key}=true" for key in off]
    words = f"gradient checkpointing ({', '.join(typed)})"
    price = "each layer computes its forward pass twice in the updates"
    values = dict.fromkeys(off, True)
    return (STAY, Position(values, " ".join(typed), CHECKPOINT, words, price))


def _offload(held: Set[str], shape: Shape, critic: Shape, use: Use) -> Knob:
    choices, now = _offload_choices(), offload_of(use.optimizer_offload, use.param_offload)
    if held & {OFFLOAD, *choices["all"]}:
        return (STAY,)
    # Two fp32 numbers for each that is trained.
    trained = adapter(shape, use.lora_rank, ()) if use.lora_rank else shape.parameters
    trained += critic.parameters if use.critic else 0
    moments = gib(16 * trained / use.shards)
    return (STAY, *(_offloaded(choices[to], now, to, moments) for to in OFFLOADS if to != now))


@functools.cache
def _offload_choices() -> dict[str, Values]:
    """What --offload sets, by its value: flags.yaml says."""
    choices = next(flag.choices for flag in load_table() if flag.name == "offload")
    assert isinstance(choices, dict)
    return choices


def _offloaded(keys: Values, now: str, to: str, moments: str) -> Position:
    price = {
        "none": "weights and optimizer states stay on the GPU",
        "optimizer": "optimizer states wait in main memory, and each step moves "
        f"{moments} of optimizer states per GPU over the bus",
        "all": "weights and optimizer states wait in main memory, and each step moves "
        f"{moments} of optimizer states per GPU over the bus, and the weights at every phase",
    }
    cost = max(0.0, OFFLOADING[to] - OFFLOADING[now])
    typed = f"--offload {to}"
    return Position({OFFLOAD: to, **keys}, typed, cost, f"{typed} instead of {now}", price[to])


def _utilization(held: Set[str], use: Use) -> Knob:
    if held & {UTILIZATION, KV_CACHE} or use.kv_cache_bytes:
        return (STAY,)
    shares = [share / 100 for share in range(10, 95, 5) if share / 100 != use.utilization]
    return (replace(STAY, cache=use.utilization), *(_share(share, use) for share in shares))


def _share(share: float, use: Use) -> Position:
    lower = share < use.utilization
    return Position(
        {UTILIZATION: share},
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
        typed := f"--tp_size {tp}",
        DOUBLING * log2(tp / use.tp),
        f"{typed} instead of {use.tp}",
        f"{tp} GPUs share a copy of the model in vLLM and talk in every layer; "
        f"{plural(replicas, 'copy', 'copies')} generate{'s' * (replicas == 1)}",
    )


def _kv_cache(held: Set[str], shape: Shape, use: Use) -> Knob:
    """On the CPU, down to two sequences of full length in fp32; vLLM needs one to start."""
    if KV_CACHE in held or not use.kv_cache_bytes:
        return (STAY,)
    kept = shape.cache.most if shape.cache else 2 * shape.layers * shape.kv_heads * shape.head_dim
    per_token = kept * 4
    least = max(MIN_CACHE, 2 * use.length * per_token)
    sizes = halvings(use.kv_cache_bytes, least)
    stay = replace(STAY, cache=use.kv_cache_bytes)
    return (stay, *(_cache(size, use.kv_cache_bytes, at) for at, size in enumerate(sizes, 1)))


def _cache(size: int, now: int, at: int) -> Position:
    return Position(
        {KV_CACHE: size},
        typed := f"{KV_CACHE}={size}",
        HALVING * at,
        f"a KV cache of {gib(size)} instead of {gib(now)} ({typed})",
        "fewer responses are generated at the same time",
        size,
    )
