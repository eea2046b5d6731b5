"""The phases of a training step on the fullest GPU.

    phases(shape, critic, use, 80 * 2**30)[3].name  ->  "critic update"

What is there when, by verl's own order: engines are built, then vLLM (v1/trainer_base.py:340-380);
a step generates, lets vLLM sleep, works out log-probs of actor and reference and the critic's
values, updates critic and actor, and sends the weights to vLLM (trainer_base.py:562,
engine_workers.py:692). FSDP2 keeps shards, and gathers one layer after the other in the
arithmetic's type, the next one beside it; embedding and output layer stay gathered for the whole
pass (utils/fsdp_utils.py:600). Left out on purpose: a reward model on the same card.
"""

from verlaunch.plan.memory.activations import Passing, passing
from verlaunch.plan.memory.phases import Part, Phase, total
from verlaunch.plan.memory.shape import Shape
from verlaunch.plan.memory.trained_models import Role, roles_of
from verlaunch.plan.memory.use import Use
from verlaunch.plan.memory.vllm import VllmShare, vllm_share
from verlaunch.text import MIB

PHASES = ("start", "generation", "log-probs", "critic update", "actor update", "weight sync")
CONTEXT = 600 * MIB  # of CUDA, its libraries and NCCL, in each of the two processes on a card
ASLEEP = 256 * MIB  # workspaces that a sleeping vLLM keeps, beside its CUDA graphs
LAYERS_AT_ONCE = 3  # the one at work, the next one, and the buffer it arrives in
FRAGMENTS = 0.05  # of what torch allocates, with expandable segments
FP32 = 4


def phases(
    shape: Shape, critic: Shape | None, use: Use, gpu_bytes: int | None
) -> tuple[Phase, ...]:
    roles = roles_of(shape, critic, use)
    share = vllm_share(shape, use, gpu_bytes)
    found = [_start(roles, share), _generation(roles, share), _log_probs(roles, use, share)]
    found += [_update(role, roles, use, share) for role in roles[::-1]]  # the critic comes first
    return (*found, _sync(roles, use, share))


def _phase(name: str, parts: list[Part], loose: list[Part]) -> Phase:
    """`loose`: what torch allocates piece by piece, which leaves gaps."""
    gaps = Part("fragmentation", int(total(loose) * FRAGMENTS))
    fixed = Part("CUDA contexts", 2 * CONTEXT)
    merged: dict[str, int] = {}
    for part in (*loose, *parts, gaps, fixed):
        merged[part.name] = merged.get(part.name, 0) + part.bytes
    return Phase(name, tuple(Part(label, size) for label, size in merged.items() if size))


def _resting(roles: list[Role]) -> list[Part]:
    return [
        part
        for role in roles
        for part in (
            Part(f"{role.name} weights", role.resting[0]),
            Part(f"{role.name} optimizer", role.resting[1]),
        )
    ]


def _awake(share: VllmShare) -> list[Part]:
    return [
        Part("vLLM weights", share.weights),
        Part("vLLM at work", share.working),
        Part("KV cache", share.cache),
    ]


def _asleep(use: Use, share: VllmShare) -> list[Part]:
    return [Part("vLLM asleep", ASLEEP + share.graphs)] if use.sleeps else _awake(share)


def _start(roles: list[Role], share: VllmShare) -> Phase:
    """vLLM stops when the share that it is to get is not free (vllm/v1/worker/utils.py)."""
    weights = [Part(f"{role.name} weights", role.resting[0]) for role in roles]
    return _phase("start", _awake(share), weights)  # optimizers have no states before a step


def _generation(roles: list[Role], share: VllmShare) -> Phase:
    return _phase("generation", _awake(share), _resting(roles))


def _root(shape: Shape) -> int:
    return shape.embedding + shape.head


def _gathered(role: Role, use: Use) -> list[Part]:
    layer = role.shape.body // role.shape.layers
    numbers = min(LAYERS_AT_ONCE, role.shape.layers) * layer + _root(role.shape)
    return [Part("gathered weights", numbers * use.compute_bytes)]


def _forward(role: Role, use: Use, entropy: bool) -> list[Part]:
    found = passing(role, use, gradient=False, entropy=entropy)
    # The layers' own needs and the logits come one after the other.
    layers = found.kept + max(0, found.forward - found.logits)
    return [*_gathered(role, use), Part("activations", layers), Part("logits", found.logits)]


def _largest(choices: list[list[Part]]) -> list[Part]:
    return max(choices, key=total)


def _log_probs(roles: list[Role], use: Use, share: VllmShare) -> Phase:
    """Actor, reference and critic, one after the other; offloaded weights come for their turn."""
    passes = [
        [
            *_but(roles, role),
            Part(f"{role.name} weights", role.working[0]),
            Part(f"{role.name} optimizer", role.resting[1]),
            *_forward(role, use, use.entropy),
        ]
        for role in roles
    ]
    if use.reference:  # its shards are in main memory, its layers come one by one
        passes.append(_resting(roles) + _forward(roles[0], use, entropy=False))
    return _phase("log-probs", _asleep(use, share), _largest(passes))


def _but(roles: list[Role], one: Role) -> list[Part]:
    return _resting([role for role in roles if role is not one])


def _update(role: Role, roles: list[Role], use: Use, share: VllmShare) -> Phase:
    weights, gradients, moments = role.working
    loose = [
        Part(f"{role.name} weights", weights),
        Part(f"{role.name} optimizer", moments),
        Part("gradients", gradients),
        *_but(roles, role),
        *_largest(_moments(role, use, passing(role, use, gradient=True, entropy=use.entropy))),
    ]
    return _phase(f"{role.name} update", _asleep(use, share), loose)


def _moments(role: Role, use: Use, found: Passing) -> list[list[Part]]:
    """The three that may be the worst: the loss, a layer's backward pass, the last reduction."""
    root = 0 if role.lora else _root(role.shape)
    layer = (role.trained - root) // role.shape.layers
    # A gradient in the arithmetic's type, and the fp32 copy that is added up over the ranks.
    reducing = use.compute_bytes + FP32
    whole = role.trained * FP32 if use.whole_gradients else 0
    gathered = [*_gathered(role, use), Part("gradients", whole)]
    return [
        [*gathered, Part("activations", found.kept), Part("logits", found.logits)],
        [
            *gathered,
            Part("activations", found.kept + found.layer + found.backward),
            Part("gradients", layer * reducing + root * use.compute_bytes),
        ],
        [*gathered, Part("gradients", root * reducing)],
    ]


def _sync(roles: list[Role], use: Use, share: VllmShare) -> Phase:
    """One whole weight at a time, in fp32, through a bucket that vLLM reads from
    (vllm_rollout/bucketed_weight_transfer.py:182); vLLM has its weights back, not yet its cache."""
    shape = roles[0].shape
    largest = max(shape.embedding, shape.head) * use.param_bytes
    bucket = min(use.bucket_bytes, shape.parameters * use.param_bytes)
    loose = [*_resting(roles), Part("weights on their way", largest + bucket)]
    back = [Part("vLLM weights", share.weights)] if use.sleeps else []
    return _phase("weight sync", [*back, *_asleep(use, share)], loose)
