"""Ray clusters that somebody else has started, as far as this machine shows them.

    find("auto", here())               ->  "10.0.0.1:6379", the one that this machine belongs to
    find("ray.lab:6379", here())       ->  "10.0.0.1:6379", as its members call it

Whoever submits to Ray has to sit on a machine of the cluster, beside a raylet: its command line
names the head. That is where Ray itself looks (ray/_private/services.py find_node_ids), for a
minute and more. Left out on purpose: ray:// addresses, which verl's worker groups cannot use.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from verlaunch.cluster import addresses
from verlaunch.errors import UserError

RAYLET = "raylet"
FLAG = "--gcs-address="


def here() -> tuple[str, ...]:
    """HOST:PORT of the head of each cluster that this machine is a member of."""
    found = (_head(folder) for folder in sorted(Path("/proc").glob("[0-9]*")))
    return tuple(dict.fromkeys(filter(None, found)))


def _head(process: Path) -> str:
    try:
        name = (process / "comm").read_text(errors="replace").strip()
        if name != RAYLET or _is_elsewhere(process):
            return ""
        words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:  # gone meanwhile
        return ""
    return next((word.removeprefix(FLAG) for word in words if word.startswith(FLAG)), "")


def _is_elsewhere(process: Path) -> bool:
    """Whether it is in another network namespace, as in a container; of another user's processes
    the system does not say."""
    try:
        return os.readlink(process / "ns" / "net") != os.readlink("/proc/self/ns/net")
    except PermissionError:
        return False


def find(asked: str, members: Sequence[str]) -> str:
    """Raises UserError when this machine does not belong to that cluster."""
    if "://" in asked:
        raise UserError(
            f"--ray_address {asked}: Ray's client cannot carry verl. Start on a machine of the "
            "cluster, with --ray_address HOST:PORT or --ray_address auto."
        )
    if asked == "auto":
        return _only(members)
    host, _, port = asked.rpartition(":")
    if not host or not port.isdigit():
        raise UserError(f"--ray_address {asked}: takes HOST:PORT, or auto.")
    if found := next((one for one in members if _same(asked, one)), None):
        return found
    others = f" It belongs to {', '.join(members)}." if members else ""
    raise UserError(
        f"--ray_address {asked}: this machine is not part of that cluster.{others} Start on one of "
        f"its machines, or add this one to it: ray start --address={asked}"
    )


def _only(members: Sequence[str]) -> str:
    if len(members) == 1:
        return members[0]
    if members:
        raise UserError(
            f"--ray_address auto: this machine is part of {len(members)} Ray clusters. Say which: "
            f"{' or '.join(f'--ray_address {one}' for one in members)}"
        )
    raise UserError(
        "--ray_address auto: no Ray cluster runs on this machine. Start on a machine of the "
        "cluster, or leave --ray_address out: then the run has a cluster of its own."
    )


def _same(one: str, other: str) -> bool:
    (host, _, port), (member, _, its) = one.rpartition(":"), other.rpartition(":")
    return port == its and bool(set(addresses.resolve(host)) & set(addresses.resolve(member)))


def is_loopback(address: str) -> bool:
    """Whether the cluster at HOST:PORT lives on this machine alone."""
    return all(map(addresses.is_loopback, addresses.resolve(address.rpartition(":")[0])))
