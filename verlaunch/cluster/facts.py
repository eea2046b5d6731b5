"""What a machine says of itself when it joins, and how two of them differ.

    mine = of(config, place, machine, problems)
    differences(leaders, mine)     ->  ["ray 2.59.0 instead of 2.60.0", ...]

Plain data that travels as JSON. Versions must be equal to the patch: Ray refuses workers of another
Python (ray/_private/utils.py check_version_info), and pickled functions of one verl do not fit
another. Our own code counts by its files, since a checkout is edited. Left out on purpose: drivers
and CUDA, which each machine's own guards look at.
"""

import functools
import hashlib
import json
import os
import platform
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import verlaunch
from verlaunch.cluster.place import Place
from verlaunch.config import keys
from verlaunch.config.flags import load_table
from verlaunch.config.tree import Config
from verlaunch.machine import packages
from verlaunch.machine.hardware import Machine
from verlaunch.paths import CONFIGS

CODE = "our own code"
# Each machine's own business: where it is, what it shows, how it came by the token.
PRIVATE = ("node_rank", "node_addr", "master_addr", "token_file", "verbose", "port_range",
           "join_timeout")  # fmt: skip
SHOWN = 3  # settings that differ


@dataclass(frozen=True)
class Node:
    """problems: what its own checks have found. settings: dotted key -> value as JSON text."""

    rank: int
    nodes: int
    host: str
    pid: int
    address: str
    interface: str | None
    cores: int
    memory_gib: float
    gpus: list[str]
    versions: dict[str, str]
    settings: dict[str, str]
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"node {self.rank} ({self.host}, {self.address})"


def of(config: Config, place: Place, machine: Machine, problems: Sequence[str] = ()) -> Node:
    return Node(
        rank=place.rank,
        nodes=place.nodes,
        host=socket.gethostname(),
        pid=os.getpid(),
        address=place.address,
        interface=place.interface,
        cores=machine.cores,
        memory_gib=round(machine.memory_gib, 1),
        gpus=[gpu.name for gpu in machine.gpus],
        versions=versions(),
        settings=settings(config),
        problems=list(problems),
    )


@functools.cache
def versions() -> dict[str, str]:
    """What must be the same everywhere."""
    return {"Python": platform.python_version(), **packages.versions(), CODE: code_hash()}


def code_hash() -> str:
    """Of the launcher's, the rewards' and the configuration's files."""
    package = Path(verlaunch.__file__).parent
    digest = hashlib.sha256()
    for root in (package, package.parent / "rewards", CONFIGS):
        for file in sorted(root.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{root.name}/{file.relative_to(root)}\0".encode())
                digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def settings(config: Config) -> dict[str, str]:
    launch = {k: v for k, v in config.launch.items() if k not in PRIVATE}
    tree = {"verlaunch": launch, "hardware": config.hardware, **config.verl}
    return {key: json.dumps(value, default=str) for key, value in keys.flatten(tree).items()}


def differences(leader: Mapping[str, str], node: Mapping[str, str]) -> list[str]:
    """Of two `versions`: `ray 2.59.0 instead of 2.60.0`."""
    return [
        f"{name} {node.get(name, 'missing')} instead of {leader.get(name, 'none')}"
        for name in {**leader, **node}
        if leader.get(name) != node.get(name)
    ]


def different_settings(leader: Mapping[str, str], node: Mapping[str, str]) -> list[str]:
    """`--lr is 2e-06 instead of 1e-06`. Flags come first: the rest may follow from them."""
    others = [key for key in {**leader, **node} if leader.get(key) != node.get(key)]
    flags = {flag.keys[0]: flag for flag in load_table() if {*flag.keys[:1]} & {*others}}
    followers = {key for flag in flags.values() for key in flag.keys[1:]}
    named = {key: f"--{flag.name}" for key, flag in flags.items()}
    named |= {key: key for key in others if key not in named and key not in followers}
    found = [
        f"{name} is {node.get(key, 'not set')} instead of {leader.get(key, 'not set')}"
        for key, name in named.items()
    ]
    more = len(found) - SHOWN
    return [*found[:SHOWN], *([f"and {more} more"] if more > 0 else [])]


def why_not(leader: Node, node: Node) -> str:
    """Why this node cannot be part of the leader's run; empty when it can."""
    if node.nodes != leader.nodes:
        return f"it was started with --nnodes {node.nodes}, and node 0 with {leader.nodes}"
    if other := differences(leader.versions, node.versions):
        return f"it has {', '.join(other)}. Install the same on every machine"
    if other := different_settings(leader.settings, node.settings):
        return f"its settings are others: {'; '.join(other)}. Type the same command everywhere"
    return "; ".join(problem.rstrip(".") for problem in node.problems)


def unlike(nodes: Sequence[Node]) -> str:
    """A sentence where the machines have other GPUs than each other; empty where not."""
    if len({tuple(sorted(node.gpus)) for node in nodes}) < 2:
        return ""
    each = "; ".join(f"node {node.rank} has {cards(node) or 'none'}" for node in nodes)
    return (
        f"The GPUs of the machines differ: {each}. The plan counts with those of node 0, and the "
        "run is as fast as the slowest."
    )


def cards(node: Node) -> str:
    """8 x NVIDIA H200"""
    kinds = Counter(node.gpus)
    return " and ".join(f"{count} x {name}" for name, count in kinds.items())
