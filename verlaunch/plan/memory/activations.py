"""What the forward and backward pass of a micro batch hold, per rank.

    passing(actor, use)  ->  Passing(kept=..., layer=..., backward=..., logits=..., ...)

Per token and layer autograd keeps what its operations save: for a Llama-like layer with RMSNorm,
grouped-query attention (sdpa) and SwiGLU, c bytes per number, hidden h, heads x head_dim a and
feed-forward width i (the counting of arXiv 2205.05198, section 4.1, done again for such a layer):

    2 norms        2 x (4 + 2c) h   the fp32 copy, its normalized value, the result (some families
                                    have more: Shape.norms)
    attention      5c a             query, repeated keys and values, the output and its copy
    feed-forward   4c i             gate, its activation, up, their product

tests/plan/test_memory_estimate.py counts what torch really saves. With gradient checkpointing only
the input of each layer stays (c h), and one layer at a time is worked out again (arXiv 1604.06174).
Left out on purpose: kernels that save less (Liger).
"""

from dataclasses import dataclass

from verlaunch.plan.memory.shape import Shape
from verlaunch.plan.memory.trained_models import Role
from verlaunch.plan.memory.use import Use

# Bytes per logit (token x vocabulary) at the worst moment of verl's own code without flash-attn,
# counted operation by operation: `output.logits`, entropy_from_logits (fp32 by autocast), the copy
# without padding and logprobs_from_logits_v2 (utils/torch_functional.py:173,231), and their
# backward pass, which runs with an entropy coefficient of 0 too (workers/utils/losses.py:128).
# (bytes of arithmetic, entropy, gradient)  ->  bytes
LOGIT: dict[tuple[int, bool, bool], float] = {
    (2, True, True): 18, (2, True, False): 10, (2, False, True): 8, (2, False, False): 4,
    (4, True, True): 28, (4, True, False): 12, (4, False, True): 16, (4, False, False): 8,
}  # fmt: skip
# The same without padding: nothing is copied out of padded rows, and flash-attn's cross entropy
# needs no copy of its own. Others measured 10.4 to 10.9 on cards of 80 GB.
UNPADDED = {**LOGIT, (2, True, True): 10.7}


@dataclass(frozen=True)
class Passing:
    """Bytes. kept: what all layers save for the backward pass. layer: one layer's, when it is
    worked out again. backward: gradients of activations within one layer. forward: what one layer
    needs when nothing is saved. logits: at their worst moment."""

    kept: int
    layer: int
    backward: int
    forward: int
    logits: int


def saved(shape: Shape, compute: int) -> int:
    """Bytes per token that one layer saves; `compute`: bytes of a number."""
    norms = (4 + 2 * compute) * (shape.norms or 2 * shape.hidden)
    attention = 5 * compute * shape.heads * shape.head_dim
    feed_forward = 4 * compute * shape.intermediate
    return norms + attention + feed_forward


def passing(role: Role, use: Use, gradient: bool, entropy: bool) -> Passing:
    shape, c = role.shape, use.compute_bytes
    tokens = role.tokens if gradient else role.infer_tokens
    layer = tokens * saved(shape, c)
    kept = tokens * c * shape.hidden * shape.layers if role.checkpointing else layer * shape.layers
    # Of padded rows: as booleans, and as what the attention kernel adds.
    mask = 0 if _unpadded(role, use) else tokens * use.length * (1 + c)
    return Passing(
        kept=(kept if gradient else 0) + mask,
        layer=layer if role.checkpointing else 0,
        backward=tokens * (3 * c * shape.intermediate + 8 * shape.hidden),
        forward=tokens * (3 * c * shape.intermediate + (4 + 3 * c) * shape.hidden),
        logits=int(tokens * _per_token(role, use, gradient, entropy)),
    )


def _unpadded(role: Role, use: Use) -> bool:
    return use.critic_unpadded if role.name == "critic" else use.unpadded


def _per_token(role: Role, use: Use, gradient: bool, entropy: bool) -> float:
    if role.name == "critic" or use.fused:
        return 0
    # By chunks its parts are small, but autograd keeps every one of them.
    at_once = entropy and (gradient or not use.entropy_chunks)
    table = UNPADDED if use.unpadded else LOGIT
    return role.shape.vocab * table[(use.compute_bytes, at_once, gradient)]
