"""A private Ray cluster like a run's: started, one task on a "GPU", stopped; is anything left?

work({"gpus": 2, "cpus": 4}, print)
# {"start_s": 3.1, "task_s": 1.2, "stop_s": 0.4, "gpus": 2.0, "left": []}
"""

import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from verlaunch.machine import processes

OBJECT_STORE_BYTES = 100 << 20
PATIENCE_S, POLL_S = 10.0, 0.1


def _remotely(gpus: int) -> str:
    """What a worker finds when it imports verl: the platform that our plugin has registered."""
    import ray

    def platform() -> str:
        from verlaunch.engine import chosen

        return chosen.platform_name()

    return ray.get(ray.remote(num_cpus=1, num_gpus=min(1, gpus))(platform).remote())


def _command(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    return os.path.basename(words[0].decode(errors="replace"))


def _left(pids: list[int]) -> list[str]:
    """Programs among these that still run after a while."""
    until = time.monotonic() + PATIENCE_S
    while alive := [pid for pid in pids if not processes.is_dead(pid)]:
        if time.monotonic() > until:
            break
        time.sleep(POLL_S)
    return [f"{_command(pid)} (process {pid})" for pid in alive]


def work(given: dict[str, Any], doing: Callable[[str], None]) -> dict[str, Any]:
    doing("importing ray")
    import ray

    from verlaunch.engine.processes.driver import ray_arguments

    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # as the driver does
    launch = {"ray_cpus": given["cpus"], "ray_gpus": given["gpus"],
              "object_store_bytes": OBJECT_STORE_BYTES}  # fmt: skip
    doing("starting Ray")
    times = [time.monotonic()]
    ray.init(**ray_arguments(launch, os.environ["VERLAUNCH_TEMP"]))
    times.append(time.monotonic())
    doing("running a task in Ray")
    gpus, platform = ray.cluster_resources().get("GPU", 0.0), _remotely(given["gpus"])
    times.append(time.monotonic())
    doing("stopping Ray")
    # Orphans are the guardian's, which is our parent.
    ours = [pid for pid in processes.descendants(os.getppid()) if pid != os.getpid()]
    ray.shutdown()
    left = _left(ours)
    times.append(time.monotonic())
    names = ("start_s", "task_s", "stop_s")
    spent = {n: later - earlier for n, earlier, later in zip(names, times, times[1:], strict=False)}
    return {**spent, "gpus": gpus, "platform": platform, "left": left}
