"""What --fit auto may turn, and how far: each knob with its positions, the cheapest first.

    knobs(config, shape, use)  ->  ((STAY, Position({TOKENS: 2048}, {"micro_tokens": 2048})), ...)

A knob whose key was given by a flag, a variable, an override or the recipe has one position: where
it stands. Left out on purpose: what changes the training itself (lengths, batch sizes, LoRA).
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import log2
from typing import Any

from verlaunch.config.batch import ACTOR_MICRO as MICRO
from verlaunch.config.batch import CRITIC_MICRO
from verlaunch.config.flags import load_table
from verlaunch.config.tree import ACTOR, ROLLOUT, Config, get
from verlaunch.plan.memory.shape import Shape
from verlaunch.plan.memory.use import Use
from verlaunch.text import MIB, gib

Values = dict[str, Any]

TOKENS = f"{ACTOR}.ppo_max_token_len_per_gpu"
UTILIZATION = f"{ROLLOUT}.gpu_memory_utilization"
TP = f"{ROLLOUT}.tensor_model_parallel_size"
CRITIC_TOKENS = "critic.ppo_infer_max_token_len_per_gpu"
OFFLOAD = "verlaunch.offload"
KV_CACHE = f"{ROLLOUT}.engine_kwargs.vllm.kv_cache_memory_bytes"
CHECKPOINTING = {
    "actor_rollout_ref.model.enable_gradient_checkpointing": "checkpointing",
    "critic.model.enable_gradient_checkpointing": "critic_checkpointing",
}
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

    values: keys to fill. fields: the same, of `Use`. words: "--tp_size 2 instead of 1". price: what
    it costs, a clause. cache: how large it makes vLLM's cache, for comparing positions of a knob.
    """

    values: Values
    fields: Values
    cost: float = 0.0
    words: str = ""
    price: str = ""
    cache: float = 0.0


STAY = Position({}, {})
Knob = tuple[Position, ...]


def knobs(config: Config, shape: Shape, use: Use, critic: Shape | None = None) -> tuple[Knob, ...]:
    """Every knob that this run has, that of vLLM's cache last. `critic`: None when it starts from
    the policy's model."""
    common = (_tokens(config, use), _checkpointing(config, use))
    if use.hardware == "cpu":
        return (*common, _kv_cache(config, shape, use))
    own = (_offload(config, shape, critic or shape, use), _tp(config, shape, use))
    return (*common, *own, _utilization(config, use))


def held(config: Config, keys: Iterable[str]) -> bool:
    return not (config.given | config.recipe_keys).isdisjoint(keys)


def _tokens(config: Config, use: Use) -> Knob:
    """Down to one sequence of full length: verl takes no less (utils/seqlen_balancing.py:384)."""
    packed = get(config.verl, f"{ACTOR}.use_dynamic_bsz")
    key, critic_key = (TOKENS, CRITIC_TOKENS) if packed else (MICRO, CRITIC_MICRO)
    if held(config, [key]):
        return (STAY,)
    unit = 1 if packed else use.length
    now = use.micro_tokens // unit
    sizes = _halvings(now, use.length) if packed else _divisors(now)
    follows = not held(config, [critic_key])
    return (STAY, *(_smaller(key, size, unit, use, follows) for size in sizes))


def _smaller(key: str, size: int, unit: int, use: Use, follows: bool) -> Position:
    """`follows`: whether the critic's micro batch does."""
    what, tokens = "tokens" if unit == 1 else "responses", size * unit
    critic = use.critic_tokens or use.micro_tokens
    critic = min(tokens, critic) if follows else critic
    return Position(
        {key: size},
        {"micro_tokens": tokens, "critic_tokens": None if critic == tokens else critic},
        HALVING * log2(use.micro_tokens / tokens),
        f"micro batches of {size} {what} instead of {use.micro_tokens // unit} ({key}={size})",
        "more and smaller micro batches, for each of which FSDP gathers the weights",
    )


def _divisors(size: int) -> list[int]:
    """Those below it, the largest first."""
    return [each for each in range(size - 1, 0, -1) if size % each == 0]


def _halvings(size: int, least: int) -> list[int]:
    """_halvings(4712, 1024)  ->  [2356, 1178, 1024]"""
    found = []
    while size > least:
        size = max(least, size // 2)
        found.append(size)
    return found


def _checkpointing(config: Config, use: Use) -> Knob:
    """Off on the CPU by default (hardware/cpu.yaml), on with GPUs."""
    has = {"checkpointing": True, "critic_checkpointing": use.critic}
    off = {
        key: field
        for key, field in CHECKPOINTING.items()
        if has[field] and not getattr(use, field) and not held(config, [key])
    }
    if not off:
        return (STAY,)
    words = "gradient checkpointing (" + ", ".join(f"{key}=true" for key in off) + ")"
    price = "each layer computes its forward pass twice in the updates"
    values, fields = dict.fromkeys(off, True), dict.fromkeys(off.values(), True)
    return (STAY, Position(values, fields, CHECKPOINT, words, price))


def _offload(config: Config, shape: Shape, critic: Shape, use: Use) -> Knob:
    choices = _offload_choices()
    if held(config, [OFFLOAD, *choices["all"]]):
        return (STAY,)
    now = config.launch["offload"]
    left = {"none": ["optimizer", "all"], "ref": ["optimizer", "all"], "optimizer": ["all"]}
    return (STAY, *(_offloaded(choices[to], now, to, shape, critic, use)
                    for to in left.get(now, [])))  # fmt: skip


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
        {
            "optimizer_offload": True,
            "critic_optimizer_offload": True,
            "param_offload": everything,
            "critic_param_offload": everything,
        },
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


def _utilization(config: Config, use: Use) -> Knob:
    if held(config, [UTILIZATION, KV_CACHE]) or use.kv_cache_bytes:
        return (STAY,)
    shares = [share / 100 for share in range(10, 95, 5) if share / 100 != use.utilization]
    return (replace(STAY, cache=use.utilization), *(_share(share, use) for share in shares))


def _share(share: float, use: Use) -> Position:
    lower = share < use.utilization
    return Position(
        {UTILIZATION: share},
        {"utilization": share},
        NUDGE * abs(share - use.utilization) / 0.05,
        f"--gpu_memory_utilization {share:g} instead of {use.utilization:g}",
        f"vLLM has {'less' if lower else 'more'} room for keys and values",
        share,
    )


def _tp(config: Config, shape: Shape, use: Use) -> Knob:
    if held(config, [TP]):
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
        DOUBLING * log2(tp / use.tp),
        f"--tp_size {tp} instead of {use.tp}",
        f"{tp} GPUs share a copy of the model in vLLM and talk in every layer; "
        f"{replicas} {'copy' if replicas == 1 else 'copies'} generate{'s' * (replicas == 1)}",
    )


def _kv_cache(config: Config, shape: Shape, use: Use) -> Knob:
    """On the CPU, down to two sequences of full length in fp32; vLLM needs one to start."""
    if held(config, [KV_CACHE]) or not use.kv_cache_bytes:
        return (STAY,)
    per_token = 2 * shape.layers * shape.kv_heads * shape.head_dim * 4
    least = max(MIN_CACHE, 2 * use.length * per_token)
    sizes = _halvings(use.kv_cache_bytes, least)
    stay = replace(STAY, cache=use.kv_cache_bytes)
    return (stay, *(_cache(size, use.kv_cache_bytes, at) for at, size in enumerate(sizes, 1)))


def _cache(size: int, now: int, at: int) -> Position:
    return Position(
        {KV_CACHE: size},
        {"kv_cache_bytes": size},
        HALVING * at,
        f"a KV cache of {gib(size)} instead of {gib(now)} ({KV_CACHE}={size})",
        "fewer responses are generated at the same time",
        size,
    )
