"""The main memory of one node with GPUs, and what lies below /dev/shm.

    phases(shape, critic, use)[0].name  ->  "start"

FSDP's offload keeps pinned memory, which torch rounds up to a power of two per tensor
(ATen/core/CachingHostAllocator.h:305) and does not give back while the process lives. The reference
is always there, in fp32 (workers/engine/fsdp/transformer_impl.py:458). On a node without GPUs see
cpu.py. Left out on purpose: the page cache, which gives way.
"""

from verlaunch.plan.memory.cpu import EXPORT, PROGRAMS
from verlaunch.plan.memory.phases import Part, Phase
from verlaunch.plan.memory.shape import Shape
from verlaunch.plan.memory.trained_models import Role, roles_of
from verlaunch.plan.memory.use import Use
from verlaunch.text import GIB, MIB

# On top of what a process takes on the CPU (cpu.py), where that is measured: CUDA's libraries, and
# what its driver keeps in main memory for a card. Not seen on a GPU by us yet.
CUDA = 5 * GIB // 4
SHM_RANK = 64 * MIB  # of a GPU: NCCL and vLLM's message queues, as far as they are touched


def phases(shape: Shape, critic: Shape | None, use: Use) -> tuple[Phase, ...]:
    roles = roles_of(shape, critic, use)
    base = _base(use)
    frozen = [Part("reference", _reference(shape, use))] if use.reference else []
    away = [part for role in roles for part in _away(role, use)]
    lasting = (*base, *frozen, *away)
    return (
        Phase("start", (*base, *frozen, *_loading(roles, use), *_weights_only(away))),
        Phase("training", lasting),
        Phase("checkpoint", (*lasting, Part("tensors being saved", _saving(roles, use)))),
        *([Phase("export", (*lasting, Part("export", _export(shape))))] if use.export else []),
    )


def _base(use: Use) -> tuple[Part, ...]:
    seen, ranks = PROGRAMS, use.gpus_per_node
    # On a card vLLM has a process for the engine and one per rank, on the CPU one for both.
    engines = ranks * (seen.training + seen.engine + 2 * CUDA)
    engines += use.replicas * (seen.server + seen.engine)
    rest = seen.launcher + seen.ray + seen.trainer
    return (
        Part("processes", engines + rest + use.rollout_workers * seen.rollout_worker),
        Part("Ray's object store", use.object_store_bytes),
    )


def _power(size: int) -> int:
    return 1 << (size - 1).bit_length() if size > 0 else 0


def _tensors(shape: Shape) -> list[tuple[int, int]]:
    """(numbers, how many such tensors); what no linear layer holds counts as one per layer."""
    known = [(one.inputs * one.outputs, one.count) for one in shape.linears]
    known += [(shape.embedding, 1), (shape.head, 1)]
    rest = shape.parameters - sum(size * count for size, count in known)
    return [*known, (max(0, rest) // shape.layers, shape.layers)]


def pinned(shape: Shape, use: Use, size: int) -> int:
    """Of one rank's shards of all weights, `size` bytes per number."""
    return sum(_power(-(-n // use.shards) * size) * count for n, count in _tensors(shape))


def _reference(shape: Shape, use: Use) -> int:
    return use.gpus_per_node * pinned(shape, use, use.param_bytes)


def _away(role: Role, use: Use) -> list[Part]:
    """Weights and optimizer of a role that wait here, of all ranks of the node."""
    each = pinned(role.shape, use, use.param_bytes) * use.gpus_per_node
    # An adapter's many small tensors do not matter, whatever they are rounded to.
    trained = 2 * role.gradients * use.gpus_per_node if role.lora else each
    return [
        Part(f"{role.name} weights", each if role.weights_away or role.on_cpu else 0),
        Part(f"{role.name} optimizer", 2 * trained if role.moments_away or role.on_cpu else 0),
        Part(f"{role.name} gradients", trained if role.on_cpu else 0),
    ]


def _weights_only(away: list[Part]) -> list[Part]:
    return [part for part in away if part.name.endswith("weights")]


def _loading(roles: list[Role], use: Use) -> list[Part]:
    """The largest model whole and in fp32: on the first rank alone, or on every rank where
    embedding and output layer are tied (transformer_impl.py:240, fsdp_utils.py:64)."""
    copies = 1 if roles[0].shape.head else use.gpus_per_node
    largest = max(role.shape.parameters for role in roles)
    return [Part("models being loaded", copies * largest * use.param_bytes)]


def _saving(roles: list[Role], use: Use) -> int:
    """torch.save brings one tensor after the other from the card."""
    shape = roles[0].shape
    return max(shape.embedding, shape.head) * use.param_bytes // use.shards * use.gpus_per_node


def _export(shape: Shape) -> int:
    """Mixtures of experts go through transformers' own writer, which holds the whole model."""
    whole = shape.parameters * (4 + shape.stored)
    return whole if shape.active < shape.parameters else min(EXPORT, whole)


def shared_memory(shape: Shape, use: Use) -> int:
    """Below /dev/shm on one node. On the CPU weights go to vLLM through it, in buckets
    (workers/rollout/vllm_rollout/bucketed_weight_transfer.py:170), and gloo does without."""
    bucket = min(use.bucket_bytes, shape.parameters * 4)
    each = bucket if use.hardware == "cpu" else SHM_RANK
    return use.object_store_bytes + use.gpus_per_node * each
