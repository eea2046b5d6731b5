"""The process that owns the run's private Ray cluster: start it, run the trainer, stop it.

    python -m verlaunch.engine.driver outputs/logs/launch.json

The cluster has its own temporary folder, listens on loopback, has no dashboard and is never
shared: verl's queue is a named actor, and a second run on the same cluster would attach to it.
"""

import json
import os
import secrets
import sys
from pathlib import Path
from typing import Any

from verlaunch.engine import environment, shell
from verlaunch.engine.runner import Runner
from verlaunch.record import Channel


def ray_arguments(launch: dict[str, Any], temp_dir: str) -> dict[str, Any]:
    """Arguments of `ray.init` for a private cluster; `launch` is plan.Launch as plain data."""
    return {
        "address": "local",
        "num_cpus": launch["ray_cpus"],
        "num_gpus": launch["ray_gpus"],
        "include_dashboard": False,
        "log_to_driver": True,
        "namespace": "verlaunch",
        "object_store_memory": launch["object_store_bytes"],
        "_temp_dir": temp_dir,
        **launch.get("ray_init", {}),
    }


def train(launch: dict[str, Any], temp_dir: str) -> None:
    import ray

    ray.init(**ray_arguments(launch, temp_dir))
    try:
        model = launch["config"]["actor_rollout_ref"]["model"]["path"]
        runner = ray.remote(num_cpus=1)(Runner).remote()
        shells = shell.start(launch["rollout_workers"], model)
        ray.get(runner.run.remote(launch["config"], launch["record"], launch["export"]))
        del shells
    finally:
        ray.shutdown()


def main(path: str) -> int:
    launch = json.loads(Path(path).read_text())
    os.environ.update(environment.for_run(launch["hardware"], dict(os.environ)))
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # else Ray keeps one in HOME
    os.environ.update(environment.for_reward(launch["reward_fn"], launch["reward_keys"]))
    # Else these write where the user stands.
    os.environ.setdefault("TENSORBOARD_DIR", str(Path(launch["record"]) / "tensorboard"))
    os.environ.setdefault("WANDB_DIR", launch["record"])
    Channel(Path(launch["record"])).phase("starting ray")
    # Unix sockets have at most 107 characters, so this can't lie in the output folder. The guardian
    # makes it and removes it.
    train(launch, os.environ["VERLAUNCH_TEMP"])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
