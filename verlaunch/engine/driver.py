"""The process that owns the run's private Ray cluster: start it, run the trainer, stop it.

    python -m verlaunch.engine.driver outputs/logs/launch.json

The cluster has its own temporary folder, listens on loopback, has no dashboard and is never
shared: verl's queue is a named actor, and a second run on the same cluster would attach to it.
"""

import json
import os
import secrets
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from rewards.part import CannotStart
from rewards.spec import from_dict
from verlaunch import trackers
from verlaunch.engine import environment, heartbeat, reward_actor, reward_settings, shell
from verlaunch.engine.deaths import Deaths, end_at_once
from verlaunch.engine.runner import Runner
from verlaunch.record import Channel
from verlaunch.watchdog import HEARTBEAT

SHUTDOWN_S = 30.0


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


def train(launch: dict[str, Any], temp_dir: str, channel: Channel) -> int:
    """Exit code: 0, or 1 when the reward could not start, which is then told by an event.

    When a process of the run has died, or training has failed, this ends the driver by itself.
    """
    import ray

    watch = Deaths(channel)
    try:
        ray.init(**ray_arguments(launch, temp_dir))
        code = _train(launch, channel)
    except Exception as error:
        traceback.print_exc()
        watch.tell_cause(error)
        end_at_once()
    finally:
        watch.stop()
    # Trackers end their runs when their process is told to go; but nobody waits for ever.
    limit = threading.Timer(SHUTDOWN_S, os._exit, [code])
    limit.daemon = True
    limit.start()
    ray.shutdown()
    return code


def _train(launch: dict[str, Any], channel: Channel) -> int:
    import ray
    from ray.exceptions import RayTaskError

    config = launch["config"]
    reward_settings.put(config, launch["reward"], launch["reward_keys"])
    runner = ray.remote(num_cpus=1)(Runner).remote()
    reward, begun = _start_reward(launch)
    shells = shell.start(launch["rollout_workers"], config["actor_rollout_ref"]["model"]["path"])
    running = runner.run.remote(config, launch["training"], launch["record"], launch["export"])
    if begun is not None and begun in ray.wait([running, begun])[0]:
        try:
            channel.event("reward", notes=ray.get(begun))
        except RayTaskError as error:  # it ends the run at once
            if not isinstance(error.cause, CannotStart):
                raise
            channel.event("failed", reason=str(error.cause))
            return 1
    ray.get(running)
    if reward is not None:
        ray.get(reward.close.remote())
    del shells
    return 0


def _start_reward(launch: dict[str, Any]) -> tuple[Any, Any]:
    """The reward actor and the promise of its start; None twice when responses score themselves."""
    if from_dict(launch["reward"]).is_local:
        return None, None
    gpus = launch["reward_gpus"]
    # One card of the run's is shared when it has none of its own.
    cards = None if gpus or launch["hardware"] == "cpu" else _first_card()
    actor = reward_actor.start(launch["config"], gpus, cards)
    return actor, actor.begin.remote(launch["references"], launch["reward_told"])


def _first_card() -> str:
    return os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]


def _of_trackers(launch: dict[str, Any]) -> dict[str, str]:
    names, folder = trackers.chosen(launch["config"]["trainer"]["logger"]), Path(launch["record"])
    if not names:
        return {}
    return trackers.environment(names, folder, trackers.run_id(folder), os.environ)


def main(path: str) -> int:
    launch = json.loads(Path(path).read_text())
    os.environ.update(environment.for_run(launch["hardware"], dict(os.environ)))
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # else Ray keeps one in HOME
    os.environ.update(_of_trackers(launch))
    os.environ[heartbeat.VARIABLE] = str(Path(launch["record"]) / HEARTBEAT)
    channel = Channel(Path(launch["record"]))
    channel.phase("starting ray")
    # Unix sockets have at most 107 characters, so this can't lie in the output folder. The guardian
    # makes it and removes it.
    return train(launch, os.environ["VERLAUNCH_TEMP"], channel)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
