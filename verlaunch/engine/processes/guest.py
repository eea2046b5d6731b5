"""A run in a Ray cluster that somebody else has started (--ray_address), as a good guest.

    os.environ.update(environment(launch, os.environ))    # before ray is imported
    join(launch)                                          # or UserError, with nothing loaded yet
    Runner.remote(secrets(os.environ))                    # keys go to the actors that need them
    ray.shutdown()                                        # ends what is ours, and nothing else

Everything of ours belongs to this driver's job, in a namespace of its own: when the driver ends in
any way, Ray ends it. Two runs that start together would find the same GPUs free, and verl wait for
ever for those that the other has taken: a named actor keeps the place for one. Variables that Ray
shows to everybody (runtime environments) carry nothing secret. Left out on purpose: Ray's own
settings, which are the cluster's, and other verl jobs, which share nothing with ours.
"""

import getpass
import os
import re
import secrets as random
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rewards.judge.providers import PROVIDERS
from verlaunch.cluster import foreign
from verlaunch.engine import actors, heartbeat
from verlaunch.engine import environment as engine_environment
from verlaunch.engine.processes import guest_check
from verlaunch.errors import UserError, raise_all, stopping
from verlaunch.machine import variables

PLACE, NAMESPACE = "verlaunch-place", "verlaunch"  # of the actor that keeps the place
ANSWER_S, POLL_S = 5.0, 0.5
FREED_S = 8.0  # a run that has just ended leaves its place some seconds later
CONNECT_TRIES = "3"  # one a second; Ray's own 20 are for heads that are still starting
# What a user may have set for libraries of a run; workers of another's cluster inherit none of it.
PREFIXES = (*variables.LIBRARIES, *variables.TRACKERS)
ADDRESS = re.compile(r"_proxy|_URL|_URI", re.I)  # it may hold a password
JUDGES = {
    name for provider in PROVIDERS.values() for name in (*provider.keys, *provider.addresses)
} | {"DASHSCOPE_HTTP_BASE_URL"}
OURS = (heartbeat.VARIABLE, "PYTHONPATH", "MALLOC_ARENA_MAX", *engine_environment.ALLOCATOR)
WHO = "{user}'s run in {folder} (process {pid} on {host}, since {since})"
LONELY = ("GLOO_SOCKET_IFNAME", "VLLM_HOST_IP")  # of a run that stays on one machine


class Place:
    """The one place for a run in a cluster; taken while this actor lives. who: as WHO has it."""

    def __init__(self, who: dict[str, Any]) -> None:
        self.who = who

    def taken_by(self) -> dict[str, Any]:
        return self.who


_place: Any = None  # its handle keeps it alive, until the driver ends


def environment(launch: Mapping[str, Any], inherited: Mapping[str, str]) -> dict[str, str]:
    """Variables to add to the driver's own. Raises UserError when there is no such cluster here."""
    alone = foreign.is_loopback(foreign.find(launch["ray_address"], foreign.here()))
    every = engine_environment.for_run(launch["hardware"], inherited)
    ours = {name: value for name, value in every.items() if not name.startswith("RAY_")}
    ray = {"RAY_gcs_server_port_wait_time_s": CONNECT_TRIES, "RAY_DEDUP_LOGS": "0"}
    if has_token(inherited) and "RAY_AUTH_MODE" not in inherited:
        ray["RAY_AUTH_MODE"] = "token"  # Ray does so for address="auto" alone
    if alone:  # else Ray takes 127.0.0.1 for this machine's outer address
        return {**ours, **ray, **engine_environment.ALONE}
    added = {name: value for name, value in ours.items() if name not in LONELY}
    return {**added, **ray}


def has_token(env: Mapping[str, str]) -> bool:
    """Where Ray looks for it, in its order."""
    if env.get("RAY_AUTH_TOKEN"):
        return True
    file = env.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token"
    return Path(file).is_file()


def _is_secret(name: str) -> bool:
    return name in JUDGES or variables.is_secret(name) or bool(ADDRESS.search(name))


def _wanted(name: str) -> bool:
    names = (*engine_environment.VERL, *engine_environment.PRIVATE, *OURS, *JUDGES)
    named = name in names or name.upper() in variables.PROXIES
    return (named or name.startswith(PREFIXES)) and not name.startswith("RAY_")


def shown(env: Mapping[str, str]) -> dict[str, str]:
    """What every worker of the run gets, through a runtime environment that everybody can read."""
    return {name: env[name] for name in env if _wanted(name) and not _is_secret(name)}


def secrets(env: Mapping[str, str]) -> dict[str, str]:
    """What goes as an argument to the actors that talk to judges, hubs and trackers."""
    return {name: env[name] for name in env if _wanted(name) and _is_secret(name)}


def join(launch: dict[str, Any]) -> None:
    """Connects, takes the place and looks around. Raises UserError, and then nothing is left."""
    import ray

    address = foreign.find(launch["ray_address"], foreign.here())
    _connect(address)
    try:
        _take_place(Path(launch["record"]))
        model = launch["config"]["actor_rollout_ref"]["model"]["path"]
        folders = [Path(launch["record"]), Path(model)]
        here = ray.get_runtime_context().get_node_id()
        raise_all(stopping(guest_check.unmet(guest_check.need_of(launch), folders, here)))
    except UserError:
        leave()
        raise


def leave() -> None:
    import ray

    global _place
    _place = None
    ray.shutdown()


def _connect(address: str) -> None:
    import ray
    from ray.exceptions import AuthenticationError

    try:
        ray.init(
            address=address,
            namespace=f"verlaunch-{random.token_hex(8)}",
            runtime_env={"env_vars": shown(os.environ)},
            log_to_driver=True,
        )
    except (ConnectionError, AuthenticationError, RuntimeError) as error:
        raise UserError(_why_not(address, error)) from None


def _why_not(address: str, error: Exception) -> str:
    told = f"{error} {error.__cause__ or ''}"
    if "uth" in told and ("token" in told.lower() or "Unauthenticated" in told):
        token = "another token than" if has_token(os.environ) else "a token like"
        return (
            f"The Ray cluster at {address} wants {token} ours. Give the one that it was started "
            "with: export RAY_AUTH_TOKEN_PATH=FILE (or RAY_AUTH_TOKEN, or ~/.ray/auth_token)."
        )
    if "ersion mismatch" in told:
        return f"The Ray cluster at {address} is another version: {' '.join(str(error).split())}"
    why = next(reversed(str(error.__cause__ or error).strip().splitlines()), "")
    return f"The Ray cluster at {address} does not answer ({why}). Does it run? ray status"


def _take_place(folder: Path) -> None:
    import ray

    global _place
    since = time.strftime("%Y-%m-%d %H:%M")
    who = {"user": getpass.getuser(), "host": socket.gethostname(), "folder": str(folder),
           "pid": os.getpid(), "since": since}  # fmt: skip
    options = {"name": PLACE, "namespace": NAMESPACE, "num_cpus": 0, **actors.options()}
    until = time.monotonic() + FREED_S
    while _place is None:
        try:
            _place = ray.remote(Place).options(**options).remote(who)
        except ValueError:
            if other := _taken_by():
                raise UserError(_taken(other)) from None
            if time.monotonic() > until:
                raise UserError(_taken("Another run")) from None
            time.sleep(POLL_S)


def _taken_by() -> str:
    """Empty when its holder has just ended, or does not answer."""
    import ray
    from ray.exceptions import RayError

    try:
        holder = ray.get_actor(PLACE, namespace=NAMESPACE)
        return WHO.format(**ray.get(holder.taken_by.remote(), timeout=ANSWER_S))
    except (ValueError, RayError):
        return ""


def _taken(who: str) -> str:
    return (
        f"{who} trains in this Ray cluster, which takes one run of verlaunch at a time. Wait "
        "until it has ended, or leave --ray_address out: then this run has a cluster of its own."
    )
