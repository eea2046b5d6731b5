"""Which of a run's machines this is, and where they meet; worked out once, shown, then passed on.

    place = of(config)
    place.rank, place.nodes, place.address, place.interface    ->  1, 2, "10.0.0.2", "eth0"

What a person gave is used as it is; what is open is found here. Left out on purpose: whether node 0
answers (member.py), and schedulers' variables, which are flags by now (schedulers.py).
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from verlaunch.cluster import addresses
from verlaunch.cluster.addresses import with_port
from verlaunch.config.tree import Config
from verlaunch.errors import Finding, UserError, raise_all, stopping
from verlaunch.paths import start_command

RANK = "verlaunch.node_rank"
LEAST_PORTS = 200  # Ray takes one for each of its workers
LOWEST, HIGHEST = 1024, 65535


class UnknownLeader(UserError):
    """No address is known for node 0's name; in a cluster that may change within minutes."""


@dataclass(frozen=True)
class Place:
    """leader: what the nodes call, a name or an address. address, interface: of this machine."""

    rank: int
    nodes: int
    leader: str
    port: int
    address: str
    interface: str | None
    port_range: tuple[int, int] | None = None

    @property
    def meeting(self) -> str:
        return with_port(self.leader, self.port)

    def __str__(self) -> str:
        where = f"{self.address} on {self.interface}" if self.interface else self.address
        if self.rank:
            return (
                f"node {self.rank} of {self.nodes} is {where}, and joins node 0 at {self.meeting}"
            )
        through = "" if self.leader == self.address else f", which the others call {self.leader}"
        at = with_port(self.address, self.port)
        return f"node 0 of {self.nodes} is {where}{through}, and waits at {at}"


def nodes_of(config: Config) -> int:
    return int(config.verl["trainer"]["nnodes"])


def of(config: Config) -> Place:
    """Raises UserError with every problem at once, and UnknownLeader."""
    launch, nodes = config.launch, nodes_of(config)
    raise_all(stopping(_contradictions(launch, nodes)))
    if problem := _forgotten_rank(config, nodes):
        raise UserError(problem)
    rank, port, given = launch["node_rank"], launch["master_port"], launch["node_addr"]
    leader = (launch["master_addr"] or "").strip("[]")
    address = given or (_joining(leader, port) if rank else _leading(leader))
    # Some schedulers call node 0 localhost on node 0.
    is_name = bool(leader) and not any(map(addresses.is_loopback, addresses.resolve(leader)))
    called = leader if rank or is_name else address
    interface = addresses.interface_of(address)
    ports = ports_of(launch["port_range"])
    return Place(rank, nodes, called, port, address, interface, ports)


def ports_of(text: str | None) -> tuple[int, int] | None:
    """First and last of `20000-20999`; None for the kernel's choice. Raises UserError."""
    if text is None:
        return None
    first, _, last = str(text).partition("-")
    with contextlib.suppress(ValueError):
        found = int(first), int(last)
        if found[0] >= LOWEST and found[1] <= HIGHEST and found[1] - found[0] + 1 >= LEAST_PORTS:
            return found
    raise UserError(
        f"--port_range {text}: takes FIRST-LAST between {LOWEST} and {HIGHEST} with at least "
        f"{LEAST_PORTS} ports, such as 20000-20999."
    )


def _contradictions(launch: dict[str, Any], nodes: int) -> Iterator[Finding]:
    rank, given = launch["node_rank"], launch["node_addr"]
    try:
        ports_of(launch["port_range"])
    except UserError as error:
        yield from map(Finding, error.problems)
    if rank >= nodes:
        yield Finding(
            f"--node_rank {rank}: with --nnodes {nodes} the ranks are 0 to {nodes - 1}, one for "
            "each machine."
        )
    if rank > 0 and not launch["master_addr"]:
        yield Finding(
            f"Where is node 0? Node {rank} needs its address: MASTER_ADDR=ADDRESS_OF_NODE_0 "
            f"{start_command()} ..."
        )
    if given and not addresses.is_local(given):
        yield Finding(
            f"--node_addr {given} is not an address of this machine ({addresses.known()}). Leave "
            "it out, or give one of these."
        )


def _forgotten_rank(config: Config, nodes: int) -> str:
    """A machine that was not told its number would take itself for node 0."""
    leader = (config.launch["master_addr"] or "").strip("[]")
    named = addresses.resolve(leader) if leader and RANK not in config.given else []
    if not named or any(map(addresses.is_loopback, named)) or addresses.is_local(leader):
        return ""
    others = "1" if nodes == 2 else f"1 to {nodes - 1}"
    return (
        f"Which node is this? --master_addr {leader} is another machine than this one "
        f"({addresses.known()}), and only node 0 needs no number. Give each its own: "
        f"NODE_RANK={others} on the others; NODE_RANK=0 where {leader} only leads to node 0."
    )


def _leading(leader: str) -> str:
    """Where node 0 waits: at the address that it was given, or at the one that leads out.

    A name that stands for no address here may be a service's, or not be known yet; and some
    schedulers call node 0 localhost on node 0.
    """
    named = addresses.resolve(leader) if leader else []
    ours = [a for a in named if addresses.interface_of(a) and not addresses.is_loopback(a)]
    found = next(iter(ours), None) or addresses.own_address()
    if found is None or addresses.is_loopback(found):
        raise UserError(_no_address())
    return found


def _joining(leader: str, port: int) -> str:
    named = addresses.resolve(leader)
    if not named:
        raise UnknownLeader(
            f"--master_addr {leader}: no machine is known by that name. Give the address of node "
            "0, such as 192.168.1.1."
        )
    if any(map(addresses.is_loopback, named)):
        raise UserError(
            f"--master_addr {leader} is this machine to itself, and node 0 is another one. Give "
            "node 0's address in the network that the machines share."
        )
    found = addresses.own_address(leader, port)
    if found is None:
        raise UserError(f"From here no way leads to node 0 at {leader}. {_no_address()}")
    return found


def _no_address() -> str:
    return (
        f"This machine's network addresses: {addresses.known() or 'none'}. Name the one that the "
        "others can reach with --node_addr ADDRESS."
    )
