"""The models that FSDP shards: what each leaves on a card and in main memory while it rests.

    actor = actor_of(shape, use)
    actor.weights, actor.moments     ->  bytes of one rank

Shards are fp32 whatever the arithmetic (`fsdp_config.model_dtype`); AdamW keeps two more numbers of
the same kind for each that is trained, and gradients are there only during an update
(`zero_grad_on_exit`, workers/engine/base.py:307). Left out on purpose: optimizers of other kinds.
"""

from dataclasses import dataclass, replace

from verlaunch.plan.memory.shape import Linear, Shape
from verlaunch.plan.memory.use import Use

MOMENTS = 2  # of AdamW


@dataclass(frozen=True)
class Role:
    """Sizes of one rank's shards in bytes, and of its micro batches in tokens."""

    name: str
    shape: Shape  # head 0 where there is no output layer over the vocabulary
    trained: int  # numbers, over all ranks
    weights: int
    gradients: int
    weights_away: bool  # in main memory while the role rests
    moments_away: bool
    on_cpu: bool  # FSDP2's own policy: they never come to the card
    tokens: int  # in an update
    infer_tokens: int  # without gradients
    checkpointing: bool
    lora: bool

    @property
    def moments(self) -> int:
        return MOMENTS * self.gradients

    @property
    def resting(self) -> tuple[int, int]:
        """Bytes of weights and moments on the card while another role works."""
        weights = 0 if self.weights_away or self.on_cpu else self.weights
        moments = 0 if self.moments_away or self.on_cpu else self.moments
        return weights, moments

    @property
    def working(self) -> tuple[int, int, int]:
        """Weights, gradients and moments on the card during its own update. What was offloaded
        comes back for all of it (workers/engine/base.py:313)."""
        return (0, 0, 0) if self.on_cpu else (self.weights, self.gradients, self.moments)


def adapter(shape: Shape, rank: int, targets: tuple[str, ...]) -> int:
    """Numbers of a LoRA adapter (arXiv 2106.09685): two thin matrices beside each linear layer."""
    chosen = [linear for linear in shape.linears if not targets or linear.name in targets]
    return sum(rank * (linear.inputs + linear.outputs) * linear.count for linear in chosen)


def value_shape(shape: Shape) -> Shape:
    """A critic: the body with one label per token in place of the output layer."""
    score = Linear("score", shape.hidden, 1, 1)
    parameters = shape.parameters - shape.head + shape.hidden
    return replace(shape, parameters=parameters, head=0, linears=(*shape.linears, score))


def actor_of(shape: Shape, use: Use) -> Role:
    extra = adapter(shape, use.lora_rank, use.lora_targets)
    trained = extra if use.lora_rank else shape.parameters
    return Role(
        name="actor",
        shape=shape,
        trained=trained,
        weights=_share(shape.parameters + extra, use),
        gradients=_share(trained, use),
        weights_away=use.param_offload,
        moments_away=use.optimizer_offload,
        on_cpu=use.cpu_policy,
        tokens=_at_most(use.micro_tokens, use.mini_tokens),
        infer_tokens=use.micro_tokens,
        checkpointing=use.checkpointing,
        lora=use.lora_rank > 0,
    )


def critic_of(shape: Shape, use: Use) -> Role:
    """`shape`: of the language model that it starts from."""
    value, tokens = value_shape(shape), use.critic_tokens or use.micro_tokens
    extra = adapter(shape, use.critic_lora_rank, use.critic_lora_targets)
    trained = extra if use.critic_lora_rank else value.parameters
    return Role(
        name="critic",
        shape=value,
        trained=trained,
        weights=_share(value.parameters + extra, use),
        gradients=_share(trained, use),
        weights_away=use.critic_param_offload,
        moments_away=use.critic_optimizer_offload,
        on_cpu=use.critic_cpu_policy,
        tokens=_at_most(tokens, use.critic_mini_tokens),
        infer_tokens=tokens,
        checkpointing=use.critic_checkpointing,
        lora=use.critic_lora_rank > 0,
    )


def roles_of(shape: Shape, critic: Shape | None, use: Use) -> list[Role]:
    """The actor, and the critic where there is one."""
    actor = actor_of(shape, use)
    return [actor, critic_of(critic or shape, use)] if use.critic else [actor]


def _at_most(tokens: int, mini: int | None) -> int:
    return min(tokens, mini) if mini else tokens


def _share(numbers: int, use: Use) -> int:
    return -(-numbers // use.shards) * use.param_bytes
