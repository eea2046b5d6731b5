"""vLLM's share of a card: weights, working memory, and what that leaves for keys and values.

    share = vllm_share(shape, use, 80 * 2**30)
    share.cache, share.tokens    ->  bytes on this card, tokens that one replica keeps

vLLM takes `gpu_memory_utilization` of the whole card, whatever else is on it, and gives to the
cache what weights, one trial run and CUDA graphs leave of that (vllm/v1/worker/gpu_worker.py:559).
"""

from dataclasses import dataclass
from math import ceil

from verlaunch.plan.memory.shape import Shape
from verlaunch.plan.memory.use import Use

GRAPH_LAYER = 32 << 20  # of captured CUDA graphs, per layer: models of 24 to 80 have 0.5 to 2 GiB
COMMUNICATION = 300 << 20  # NCCL's buffers, in the memory that vLLM counts as its own
SAMPLER = 10  # bytes per logit: bf16, an fp32 copy, and the sort of it


@dataclass(frozen=True)
class VllmShare:
    weights: int
    working: int  # the graphs among it
    cache: int
    tokens: int  # that the cache of a replica holds
    graphs: int


def token_bytes(shape: Shape, use: Use) -> int:
    """What attention keeps of one token on one card, as a mean over a sequence of full length."""
    if shape.cache:
        return max(1, ceil(shape.cache.per_token(use.length, use.tp) * use.rollout_bytes))
    heads = max(1, shape.kv_heads // use.tp)
    return 2 * shape.layers * heads * shape.head_dim * use.rollout_bytes


def graphs(shape: Shape, use: Use) -> int:
    """Captured CUDA graphs, which stay on the card while vLLM sleeps."""
    return 0 if use.eager else GRAPH_LAYER * shape.layers


def _working(shape: Shape, use: Use) -> int:
    """The larger of the trial's forward pass and its sampling, plus what is never given back."""
    per_token = use.rollout_bytes * (4 * shape.hidden + 3 * shape.intermediate // use.tp)
    forward = use.max_batched_tokens * per_token
    sampling = min(use.max_seqs, use.max_batched_tokens) * shape.vocab * SAMPLER
    talking = COMMUNICATION if use.tp > 1 else 0
    return max(forward, sampling) + talking + graphs(shape, use)


def vllm_share(shape: Shape, use: Use, gpu_bytes: int | None) -> VllmShare:
    """`gpu_bytes`: of the card; without one, room for a single sequence is counted."""
    weights = -(-shape.parameters // use.tp) * use.rollout_bytes
    working, each = _working(shape, use), token_bytes(shape, use)
    least = weights + working + use.length * each
    wanted = int(gpu_bytes * use.utilization) if gpu_bytes else least
    cache = max(0, wanted - weights - working)
    if use.kv_cache_bytes:
        cache = use.kv_cache_bytes
    return VllmShare(weights, working, cache, cache // each, graphs(shape, use))
