"""Roles and where they live: which GPUs hold the shards of actor and critic, which the rollouts.

    for role in roles(config, spec):
        print(role.name, role.says)
    # actor      8 FSDP shards: GPUs 0-7
    # critic     8 FSDP shards: GPUs 0-7
    # reference  main memory; its layers visit GPUs 0-7 one after another
    # rollouts   4 vLLM replicas of 2 GPUs: 0-1, 2-3, 4-5, 6-7

verl gives ranks to nodes in the order of their addresses and to GPUs in Ray's, so the numbers are
places in that order and not those of nvidia-smi. On the CPU a rank is a process. Left out on
purpose: what each of several machines holds (nodes.py), and how much each role takes (memory.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rewards.spec import JudgeSpec, ModelSpec, PartSpec, RewardSpec
from verlaunch.config.tree import (
    ROLLOUT,
    Config,
    get,
    ranks,
    reference_in_actor,
    uses_critic,
    uses_reference,
)
from verlaunch.text import joined, plural

SHOWN = 8  # replicas that are named one by one


@dataclass(frozen=True)
class Role:
    """ranks: of the trainer, node by node; empty for what has none. groups: of a replica each.
    says, short: where it lives, in a row of its own and in the middle of a sentence.
    """

    name: str
    says: str
    short: str
    ranks: tuple[int, ...] = ()
    groups: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True)
class Layout:
    """Ranks in words: GPUs of a node, or processes.

    first: the trainer's first GPU; a reward model's own come before it, since they are taken first
    (engine/reward_actor.py). Of several nodes only node 0 has such, which nodes.py tells.
    """

    device: str  # "GPU"; on the CPU "rank", or "process" where each node counts from 0
    per_node: int
    nodes: int
    first: int = 0

    def local(self, first: int, count: int) -> str:
        """0-1, as numbers on the node where they begin."""
        start = self.first + first % self.per_node
        return str(start) if count == 1 else f"{start}-{start + count - 1}"

    def numbered(self, first: int, count: int) -> str:
        """GPU 8, GPUs 8-9: numbers on one node."""
        numbers = str(first) if count == 1 else f"{first}-{first + count - 1}"
        return f"{self.device if count == 1 else self.devices} {numbers}"

    @property
    def devices(self) -> str:
        return "processes" if self.device == "process" else f"{self.device}s"

    def all(self) -> str:
        """GPUs 0-7, or GPUs 0-7 of each of 4 nodes."""
        of = f" of each of {self.nodes} nodes" if self.nodes > 1 else ""
        return f"{self.numbered(self.first, self.per_node)}{of}"


def layout_of(config: Config) -> Layout:
    per_node, nodes = (get(config.verl, f"trainer.{key}") for key in ("n_gpus_per_node", "nnodes"))
    process = "process" if nodes > 1 else "rank"
    if config.hardware == "cpu":
        return Layout(process, per_node, nodes)
    return Layout("GPU", per_node, nodes, config.launch["rm_gpus"] if nodes == 1 else 0)


def _trained(name: str, config: Config, layout: Layout) -> Role:
    every = tuple(range(ranks(config.verl)))
    shards = plural(len(every), "FSDP shard")
    return Role(name, f"{shards}: {layout.all()}", f"on {layout.all()}", every)


def _reference(config: Config, layout: Layout) -> Role:
    every = tuple(range(ranks(config.verl)))
    if reference_in_actor(config.verl):
        says = "the actor without its adapter"
        return Role("reference", says, f"is {says}", every)
    if config.hardware == "cpu":
        says = f"beside the actor: {layout.all()}"
        return Role("reference", says, f"on {layout.all()}", every)
    says = f"main memory; its layers visit {layout.all()} one after another"
    return Role("reference", says, "in main memory", every)


def _rollouts(config: Config, layout: Layout) -> Role:
    world, tp = ranks(config.verl), get(config.verl, f"{ROLLOUT}.tensor_model_parallel_size")
    groups = tuple(tuple(range(first, first + tp)) for first in range(0, world - tp + 1, tp))
    of = f" of {tp} {layout.devices}" if tp > 1 else ""
    what, where = f"{plural(len(groups), 'vLLM replica')}{of}", _groups(groups, layout)
    return Role("rollouts", f"{what}: {where}", f"by {what}", groups=groups)


def _groups(groups: Sequence[Sequence[int]], layout: Layout) -> str:
    """Each replica's GPUs; of several nodes those of one, which the others are like."""
    if not groups:
        return "none"
    size = len(groups[0])
    if size > layout.per_node:
        return f"each over {plural(-(-size // layout.per_node), 'node')}"
    here = groups[: max(1, layout.per_node // size)]
    named = [layout.local(group[0], size) for group in here[:SHOWN]]
    more = ", ..." if len(here) > SHOWN else ""
    of = f" of each of {layout.nodes} nodes" if layout.nodes > 1 else ""
    return (
        f"{layout.devices} {', '.join(named)}{more}{of}" if size * len(here) > 1 else layout.all()
    )


def _reward(part: PartSpec, config: Config, layout: Layout) -> Role | None:
    source = part.source
    if isinstance(source, JudgeSpec):
        says = f"{source.provider}, asked by one process of the run"
        return Role(part.name, says, f"by {source.provider}")
    if not isinstance(source, ModelSpec):
        return None
    where = _model_place(source, config.hardware == "gpu", layout)
    return Role(part.name, where, f"on {where}")


def _model_place(model: ModelSpec, has_gpus: bool, layout: Layout) -> str:
    leads = " of node 0" if layout.nodes > 1 else ""
    if model.url:
        return "a server of yours"
    if not has_gpus or model.device == "cpu":
        return f"the CPU{leads}"
    if not model.gpus:
        return f"GPU 0{leads}, beside the trainer"
    return f"{layout.numbered(0, model.gpus)}{leads}, its own"


def roles(config: Config, spec: RewardSpec | None) -> tuple[Role, ...]:
    """`config`: with no number left open."""
    layout = layout_of(config)
    found = [_trained("actor", config, layout)]
    if uses_critic(config.verl):
        found.append(_trained("critic", config, layout))
    if uses_reference(config.verl):
        found.append(_reference(config, layout))
    found.append(_rollouts(config, layout))
    parts = [_reward(part, config, layout) for part in (spec.parts if spec else ())]
    return (*found, *(role for role in parts if role))


def in_one_line(found: Sequence[Role]) -> str:
    """For the start of a run: `actor and critic on GPUs 0-7, reference in main memory, ...`."""
    places: dict[str, list[str]] = {}
    for role in found:
        places.setdefault(role.short, []).append(role.name)
    return ", ".join(f"{joined(names)} {short}" for short, names in places.items())


def facts(role: Role) -> dict[str, Any]:
    """For JSON."""
    groups = [list(group) for group in role.groups]
    return {"name": role.name, "where": role.says, "ranks": list(role.ranks), "groups": groups}
