"""Ray's processes of one machine of a run, on an address that the other machines can reach.

    node = start({"ray_cpus": 12, "ray_gpus": 8, "place": {...}, ...}, temp_dir)
    node.gcs_address     ->  "10.0.0.1:41001", for the other machines

`ray.init(address="local")` would do the same for a head, but takes no ports, and `ray start` opens
a server for remote clients beside it (ray/scripts/scripts.py, port 10001). No dashboard, no
autoscaler, no client server. The processes are children of this one: engine/deaths.py watches them.

Left out on purpose: ports of torch's rendezvous, gloo, NCCL and verl's queue. Each takes any that
the kernel gives (net.ipv4.ip_local_port_range), and verl has no hook for a range: its worker group
takes one, its trainer hands none on (verl/trainer/ppo/v1/trainer_base.py:309).
"""

import logging
import random
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from verlaunch.cluster import addresses

SINGLE = ("gcs_server_port", "node_manager_port", "object_manager_port", "runtime_env_agent_port",
          "dashboard_agent_listen_port", "metrics_agent_port", "metrics_export_port")  # fmt: skip

LOOPBACK = "127.0.0.1"


def start(
    facts: Mapping[str, Any],
    temp_dir: str,
    gcs: str | None = None,
    setup_worker: str | None = None,
    log_monitor: bool = True,
) -> Any:
    """A `ray._private.node.Node`. Raises what Ray raises when the head cannot be reached.

    facts: of logs/launch.json, or of node 0's message. gcs: of the head that it joins; None: it is
    the head. setup_worker: a script of ours that starts workers, None for Ray's. log_monitor: as a
    process; else see publish_logs.
    """
    from ray._private.node import Node
    from ray._private.parameter import RayParams

    class WithoutDashboard(Node):
        """Ray starts that process even for include_dashboard=False, and waits until it is up."""

        def start_api_server(self, **_: Any) -> None:
            return None

    place = facts["place"] or {"address": LOOPBACK, "port_range": None}
    params = RayParams(
        node_ip_address=place["address"],
        gcs_address=gcs,
        num_cpus=facts["ray_cpus"],
        num_gpus=facts["ray_gpus"],
        object_store_memory=facts["object_store_bytes"],
        include_dashboard=False,
        temp_dir=temp_dir,
        no_monitor=True,
        setup_worker_path=setup_worker,
        include_log_monitor=log_monitor,
        **ports(place["address"], place["port_range"]),
    )
    return WithoutDashboard(params, head=gcs is None, shutdown_at_exit=True, spawn_reaper=True)


def publish_logs(node: Any) -> None:
    """Ray's log monitor, which brings workers' lines to the driver, as a thread of this process."""
    from ray._private.log_monitor import LogMonitor, is_proc_alive

    monitor = LogMonitor(
        node.node_ip_address, node.get_logs_dir_path(), node.get_gcs_client(), is_proc_alive
    )
    logging.getLogger(monitor.__module__).setLevel(logging.WARNING)
    threading.Thread(target=monitor.run, daemon=True, name="log monitor").start()


def ports(address: str, within: Sequence[int] | None) -> dict[str, Any]:
    """Arguments of RayParams: free ports of the range, in a random order so that two runs on one
    machine seldom choose the same. within: first and last; None for the kernel's choice."""
    if within is None:
        return {"min_worker_port": 0, "max_worker_port": 0, "dashboard_agent_listen_port": 0}
    every = list(range(within[0], within[1] + 1))
    random.SystemRandom().shuffle(every)
    free = _free(address, every)
    chosen = {name: next(free) for name in SINGLE}
    rest = sorted(set(every) - set(chosen.values()))
    return {**chosen, "worker_port_list": ",".join(map(str, rest))}


def _free(address: str, candidates: list[int]) -> Iterator[int]:
    for port in candidates:
        with socket.socket(addresses.family(address), socket.SOCK_STREAM) as probe:
            try:
                probe.bind((address, port))
            except OSError:
                continue
        yield port
    raise OSError(f"no port is free among those of --port_range on {address}")
