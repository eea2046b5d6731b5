"""Roles and where they live: which GPUs hold the shards of actor and critic, which the rollouts.

    for role in roles(config, spec):
        print(role.name, role.says)
    # actor      8 FSDP shards: GPUs 0-7
    # critic     8 FSDP shards: GPUs 0-7
    # reference  main memory; its layers visit GPUs 0-7 one after another
    # rollouts   4 vLLM replicas of 2 GPUs: 0-1, 2-3, 4-5, 6-7

verl gives ranks to nodes in the order of their addresses and to GPUs in Ray's, so the numbers are
places in that order and not those of nvidia-smi. On the CPU a rank is a process. Left out on
purpose: Ray's own processes, and how much each role takes (memory.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rewards.spec import JudgeSpec, ModelSpec, PartSpec, RewardSpec
from verlaunch.batch import plural
from verlaunch.compose import Config
from verlaunch.derive import ROLLOUT, get, ranks
from verlaunch.planning.uses import reference_in_actor, uses_critic, uses_reference

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
class _Place:
    """Ranks in words: GPUs of a node, or processes."""

    device: str  # "GPU" or "rank"
    per_node: int
    nodes: int

    def local(self, first: int, count: int) -> str:
        """0-1, as numbers on the node where they begin."""
        start = first % self.per_node
        return str(start) if count == 1 else f"{start}-{start + count - 1}"

    def all(self) -> str:
        """GPUs 0-7, or GPUs 0-7 of each of 4 nodes."""
        many = self.device + "s" * (self.per_node > 1)
        of = f" of each of {self.nodes} nodes" if self.nodes > 1 else ""
        return f"{many} {self.local(0, self.per_node)}{of}"


def _place(config: Config) -> _Place:
    device = "GPU" if config.hardware == "gpu" else "rank"
    per_node = get(config.verl, "trainer.n_gpus_per_node")
    return _Place(device, per_node, get(config.verl, "trainer.nnodes"))


def _trained(name: str, config: Config, place: _Place) -> Role:
    every = tuple(range(ranks(config.verl)))
    shards = plural(len(every), "FSDP shard")
    return Role(name, f"{shards}: {place.all()}", f"on {place.all()}", every)


def _reference(config: Config, place: _Place) -> Role:
    every = tuple(range(ranks(config.verl)))
    if reference_in_actor(config.verl):
        says = "the actor without its adapter"
        return Role("reference", says, f"is {says}", every)
    if place.device == "rank":
        says = f"beside the actor: {place.all()}"
        return Role("reference", says, f"on {place.all()}", every)
    says = f"main memory; its layers visit {place.all()} one after another"
    return Role("reference", says, "in main memory", every)


def _rollouts(config: Config, place: _Place) -> Role:
    world, tp = ranks(config.verl), get(config.verl, f"{ROLLOUT}.tensor_model_parallel_size")
    groups = tuple(tuple(range(first, first + tp)) for first in range(0, world - tp + 1, tp))
    of = f" of {plural(tp, place.device)}" if tp > 1 else ""
    what, where = f"{plural(len(groups), 'vLLM replica')}{of}", _groups(groups, place)
    return Role("rollouts", f"{what}: {where}", f"by {what}", groups=groups)


def _groups(groups: Sequence[Sequence[int]], place: _Place) -> str:
    """Each replica's GPUs; of several nodes those of one, which the others are like."""
    if not groups:
        return "none"
    size = len(groups[0])
    if size > place.per_node:
        return f"each over {plural(-(-size // place.per_node), 'node')}"
    here = groups[: max(1, place.per_node // size)]
    named = [place.local(group[0], size) for group in here[:SHOWN]]
    more = ", ..." if len(here) > SHOWN else ""
    of = f" of each of {place.nodes} nodes" if place.nodes > 1 else ""
    return f"{place.device}s {', '.join(named)}{more}{of}" if size * len(here) > 1 else place.all()


def _reward(part: PartSpec, config: Config, place: _Place) -> Role | None:
    source = part.source
    if isinstance(source, JudgeSpec):
        says = f"{source.provider}, asked by one process of the run"
        return Role(part.name, says, f"by {source.provider}")
    if not isinstance(source, ModelSpec):
        return None
    where = _model_place(source, config.hardware == "gpu", place)
    return Role(part.name, where, f"on {where}")


def _model_place(model: ModelSpec, has_gpus: bool, place: _Place) -> str:
    if model.url:
        return "a server of yours"
    if not has_gpus or model.device == "cpu":
        return "the CPU"
    if not model.gpus:
        return "GPU 0, beside the trainer"
    last = place.per_node + model.gpus - 1
    own = f"GPU {last}" if model.gpus == 1 else f"GPUs {place.per_node}-{last}"
    return f"{own}, its own"


def roles(config: Config, spec: RewardSpec | None) -> tuple[Role, ...]:
    """`config`: with no number left open."""
    place = _place(config)
    found = [_trained("actor", config, place)]
    if uses_critic(config.verl):
        found.append(_trained("critic", config, place))
    if uses_reference(config.verl):
        found.append(_reference(config, place))
    found.append(_rollouts(config, place))
    parts = [_reward(part, config, place) for part in (spec.parts if spec else ())]
    return (*found, *(role for role in parts if role))


def in_one_line(found: Sequence[Role]) -> str:
    """For the start of a run: `actor and critic on GPUs 0-7, reference in main memory, ...`."""
    places: dict[str, list[str]] = {}
    for role in found:
        places.setdefault(role.short, []).append(role.name)
    return ", ".join(f"{_and(names)} {short}" for short, names in places.items())


def _and(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def facts(role: Role) -> dict[str, Any]:
    """For JSON."""
    groups = [list(group) for group in role.groups]
    return {"name": role.name, "where": role.says, "ranks": list(role.ranks), "groups": groups}
