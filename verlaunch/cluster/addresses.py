"""Which address of this machine the others can reach, and the network interface that bears it.

    own_address("10.0.0.1", 29500)   ->  "10.0.0.2", the one that talks to the leader from here
    interface_of("10.0.0.2")         ->  "eth0"

No packet is sent: a UDP socket is connected, which makes the kernel choose a route. Left out on
purpose: networks for data that differ from the one for talking (NCCL finds InfiniBand by itself).
"""

import ipaddress
import socket

import psutil

# Addresses that need not exist: a route towards them is the one to the rest of the world.
AWAY = ("192.0.2.1", "2001:db8::1")
PORT = 9


def is_local(host: str) -> bool:
    """Whether one of this machine's interfaces has the address that `host` names."""
    ours = {address for addresses in _interfaces().values() for address in addresses}
    return any(address in ours for address in resolve(host))


def is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback


def resolve(host: str) -> list[str]:
    """Addresses of a name, in the resolver's order; empty when it has none."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(str(row[4][0]).partition("%")[0] for row in found))


def own_address(leader: str | None = None, port: int = PORT) -> str | None:
    """The address from which this machine reaches the leader, or else the world; None: no route."""
    targets = AWAY if leader is None else resolve(leader)
    found = next(filter(None, (_source(address, port) for address in targets)), None)
    if leader is not None:
        return found
    # A machine without a way out, in a closed network, has an address all the same.
    return found or next((address for _, address in _outer()), None)


def family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _source(address: str, port: int) -> str | None:
    try:
        with socket.socket(family(address), socket.SOCK_DGRAM) as probe:
            probe.connect((address, port))
            return str(probe.getsockname()[0]).partition("%")[0]
    except OSError:
        return None


def _interfaces() -> dict[str, list[str]]:
    kinds = (socket.AF_INET, socket.AF_INET6)
    return {
        name: [row.address.partition("%")[0] for row in rows if row.family in kinds]
        for name, rows in psutil.net_if_addrs().items()
    }


def _outer() -> list[tuple[str, str]]:
    """Interface and address, of those that another machine may reach."""
    return [
        (name, address)
        for name, addresses in _interfaces().items()
        for address in addresses
        if not is_loopback(address) and not ipaddress.ip_address(address).is_link_local
    ]


def interface_of(address: str) -> str | None:
    found = (name for name, addresses in _interfaces().items() if address in addresses)
    return next(found, None)


def known() -> str:
    """All that this machine has, for a message: `eth0 10.0.0.2, ib0 10.1.0.2`."""
    return ", ".join(f"{name} {address}" for name, address in _outer())


def with_port(address: str, port: int) -> str:
    """10.0.0.1:29500, [fd00::1]:29500"""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
