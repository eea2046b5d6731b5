"""Which machine holds what, in a run of several: a row per node.

    for label, text in rows(config, spec, {0: "10.0.0.1", 1: "10.0.0.2"}):
        print(label, text)
    # node 0   10.0.0.1; leads: Ray's head, trainer, rollout workers, reward; GPUs 1-8:
    #          FSDP ranks 0-7 of actor and critic, vLLM replicas 0-3 of 2 GPUs; GPU 0: rm_score
    #          alone; main memory: reference
    # node 1   10.0.0.2; GPUs 0-7: FSDP ranks 8-15 of actor and critic, ...

verl gives ranks to nodes in the order of their addresses, compared as text
(verl/single_controller/ray/base.py, sort_placement_group_by_node_ip). Before all have joined, the
addresses are not known: then the rows count, and one more says how numbers are given.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rewards.spec import ModelSpec, RewardSpec
from verlaunch.config.tree import (
    ROLLOUT,
    Config,
    get,
    reference_in_actor,
    uses_critic,
    uses_reference,
)
from verlaunch.plan.roles import Layout, layout_of
from verlaunch.text import Rows, joined, plural

MOST, FIRST = 8, 3  # nodes that all have a row, and those that have one of more nodes
HEAD = "Ray's head"
HOME = ("trainer", "rollout workers", "reward")  # engine/home.py


@dataclass(frozen=True)
class Node:
    """runs: what node 0 alone has. devices: of the trainer, as they are numbered on the node;
    reward_devices: of a reward model alone. address, ranks, replicas: None while not known."""

    rank: int
    address: str | None
    runs: tuple[str, ...]
    devices: tuple[int, ...]
    reward_devices: tuple[int, ...]
    ranks: tuple[int, ...] | None
    replicas: tuple[int, ...] | None


def nodes(
    config: Config, spec: RewardSpec | None, addresses: Mapping[int, str] | None = None
) -> tuple[Node, ...]:
    """`config`: with no number left open. `addresses`: of the nodes that are known, by rank."""
    layout, known = layout_of(config), addresses or {}
    own = sum(model.gpus for model in _alone(config, spec).values())
    return tuple(
        Node(
            rank,
            known.get(rank),
            _leads(config) if rank == 0 else (),
            tuple(range(own, own + layout.per_node) if rank == 0 else range(layout.per_node)),
            tuple(range(own)) if rank == 0 else (),
            *_numbers(config, layout, _position(rank, layout.nodes, known)),
        )
        for rank in range(layout.nodes)
    )


def _leads(config: Config) -> tuple[str, ...]:
    """What is on node 0 alone; a guest's head is where its cluster has it."""
    return HOME if config.launch["ray_address"] else (HEAD, *HOME)


def _alone(config: Config, spec: RewardSpec | None) -> dict[str, ModelSpec]:
    """Reward models with GPUs of their own, by the name of their part."""
    models = {part.name: part.source for part in (spec.parts if spec else ())}
    return {
        name: model
        for name, model in models.items()
        if isinstance(model, ModelSpec) and model.gpus and config.hardware == "gpu"
    }


def _position(rank: int, count: int, addresses: Mapping[int, str]) -> int | None:
    """Where verl's order has this node; None where that is not known."""
    if count == 1:
        return 0
    if len(addresses) < count:
        return None
    return sorted(addresses, key=lambda one: addresses[one]).index(rank)


def _numbers(
    config: Config, layout: Layout, position: int | None
) -> tuple[tuple[int, ...] | None, tuple[int, ...] | None]:
    """Ranks and replicas of the node that is there in verl's order."""
    if position is None:
        return None, None
    first, last = position * layout.per_node, (position + 1) * layout.per_node - 1
    tp = _tp(config)
    return tuple(range(first, last + 1)), tuple(range(first // tp, last // tp + 1))


def _tp(config: Config) -> int:
    return int(get(config.verl, f"{ROLLOUT}.tensor_model_parallel_size"))


def rows(
    config: Config, spec: RewardSpec | None, addresses: Mapping[int, str] | None = None
) -> Rows:
    """None of one machine."""
    found = nodes(config, spec, addresses)
    if len(found) == 1:
        return ()
    shown = found if len(found) <= MOST else found[:FIRST]
    told = [(f"node {node.rank}", _says(node, config, spec)) for node in shown]
    if more := len(found) - len(shown):
        told.append(("...", f"and {more} more like node 1"))
    if found[0].ranks is None:
        told.append(("numbers", _order(config)))
    return tuple(told)


def _says(node: Node, config: Config, spec: RewardSpec | None) -> str:
    layout, own = layout_of(config), len(node.reward_devices)
    alone = _alone(config, spec)
    trained = layout.numbered(node.devices[0], layout.per_node)
    parts = [
        node.address or "",
        f"leads: {', '.join(node.runs)}" if node.runs else "",
        f"{trained}: {_ranks(node, config)}, {_replicas(node, config)}",
        f"{layout.numbered(0, own)}: {joined(list(alone))} alone" if own else "",
        "main memory: reference" if _waits(config) else "",
    ]
    return "; ".join(part for part in parts if part)


def _ranks(node: Node, config: Config) -> str:
    of = f"of {joined(_sharded(config))}"
    if node.ranks is None:
        return f"{plural(len(node.devices), 'FSDP rank')} {of}"
    return f"FSDP {_numbered('rank', node.ranks)} {of}"


def _has_reference(config: Config) -> bool:
    """One of its own."""
    return uses_reference(config.verl) and not reference_in_actor(config.verl)


def _waits(config: Config) -> bool:
    """Whether the reference is in main memory, and only visits the GPUs."""
    return config.hardware == "gpu" and _has_reference(config)


def _sharded(config: Config) -> list[str]:
    """The roles with a shard on every rank."""
    beside = _has_reference(config) and not _waits(config)
    return ["actor", *["critic"] * uses_critic(config.verl), *["reference"] * beside]


def _replicas(node: Node, config: Config) -> str:
    tp, layout = _tp(config), layout_of(config)
    over = f" over {plural(tp // layout.per_node, 'node')}"
    of = f" of {tp} {layout.devices}" if tp > 1 else ""
    if tp > layout.per_node:
        number = "a vLLM replica" if node.replicas is None else f"vLLM replica {node.replicas[0]}"
        return f"part of {number}{of}{over}"
    if node.replicas is None:
        return f"{plural(layout.per_node // tp, 'vLLM replica')}{of}"
    return f"vLLM {_numbered('replica', node.replicas)}{of}"


def _numbered(what: str, numbers: Sequence[int]) -> str:
    first, last = numbers[0], numbers[-1]
    return f"{what} {first}" if first == last else f"{what}s {first}-{last}"


def _order(config: Config) -> str:
    """How numbers are given, before it is known to whom."""
    layout = layout_of(config)
    shares = [_numbers(config, layout, position) for position in (0, 1)]
    first, second = (
        f"{_numbered('rank', ranks)} and {_numbered('replica', replicas)}"
        for ranks, replicas in shares
        if ranks and replicas
    )
    return (
        "follow the order of the nodes' addresses, which are known when all have joined; compared "
        f"as text (10.0.0.10 before 10.0.0.2), the first has {first}, the next {second}"
        + ", and so on"
        * (layout.nodes > 2)
    )
