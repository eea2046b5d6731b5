"""The process that owns the run's private Ray cluster: start it, run the trainer, stop it.

    python -m verlaunch.engine.processes.driver outputs/logs/launch.json

The cluster has its own temporary folder, has no dashboard and is never shared: verl's queue is a
named actor, and a second run on the same cluster would attach to it. On one machine it listens on
loopback; of several machines this one is the head, and the others join with the run's token.
"""

import contextlib
import json
import os
import secrets
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rewards.part import CannotStart
from rewards.spec import from_dict
from verlaunch.engine import actors, environment, heartbeat
from verlaunch.engine.fork import zygote
from verlaunch.engine.processes import guest, ray_node
from verlaunch.engine.processes.deaths import Deaths, end_at_once
from verlaunch.engine.reward import actor as reward_actor
from verlaunch.engine.reward import settings as reward_settings
from verlaunch.engine.rollout import shell
from verlaunch.engine.training.runner import Runner
from verlaunch.errors import UserError
from verlaunch.record import trackers
from verlaunch.record.channel import HEARTBEAT, Channel

SHUTDOWN_S = 30.0
POLL_S = 0.2
GUEST_S = 180.0  # guest_check.ANSWER_S is a part of it
NAMESPACE = "verlaunch"
JOIN_S = 300.0  # from Ray's head to the last node; each of them has said that it is ready


def ray_arguments(launch: dict[str, Any], temp_dir: str) -> dict[str, Any]:
    """Arguments of `ray.init` for a private cluster; `launch` is plan.Launch as plain data."""
    return {
        "address": "local",
        "num_cpus": launch["ray_cpus"],
        "num_gpus": launch["ray_gpus"],
        "include_dashboard": False,
        "log_to_driver": True,
        "namespace": NAMESPACE,
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
        _start_ray(launch, temp_dir, channel)
        code = _train(launch, channel)
    except UserError as error:  # of a cluster that is not ours
        code = _refused(channel, error)
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


def _refused(channel: Channel, error: UserError) -> int:
    channel.event("failed", reason=" ".join(error.problems), code=2)
    return 2


def _start_ray(launch: dict[str, Any], temp_dir: str, channel: Channel) -> None:
    if launch["ray_address"]:
        with _bounded(channel, f"The Ray cluster at {launch['ray_address']} did not let us in"):
            guest.join(launch)
    elif launch["place"] is None:
        _start_alone(launch, temp_dir)
    else:
        _start_head(launch, temp_dir, channel)


@contextlib.contextmanager
def _bounded(channel: Channel, what: str) -> Iterator[None]:
    """Ends the driver where Ray waits without end, as for a head that cannot reach this machine."""

    def end() -> None:
        channel.event("failed", reason=f"{what} within {GUEST_S:g} s.", code=2)
        os._exit(2)

    limit = threading.Timer(GUEST_S, end)
    limit.daemon = True
    limit.start()
    try:
        yield
    finally:
        limit.cancel()


def _start_alone(launch: dict[str, Any], temp_dir: str) -> None:
    import ray

    script = zygote.client(temp_dir)
    node = ray_node.start(launch, temp_dir, setup_worker=script, log_monitor=False)
    ray_node.publish_logs(node)
    ray.init(address=node.gcs_address, namespace=NAMESPACE, log_to_driver=True)


def _start_head(launch: dict[str, Any], temp_dir: str, channel: Channel) -> None:
    """And waits for the other machines, which the event calls."""
    import ray

    nodes = launch["place"]["nodes"]
    head = ray_node.start(launch, temp_dir, setup_worker=zygote.client(temp_dir))
    ray.init(address=head.gcs_address, namespace=NAMESPACE, log_to_driver=True)
    channel.event("head", address=head.gcs_address)
    until = time.monotonic() + JOIN_S
    while (there := sum(node["Alive"] for node in ray.nodes())) < nodes:
        if time.monotonic() > until:
            raise TimeoutError(f"{there} of {nodes} nodes are in Ray's cluster")
        time.sleep(POLL_S)


def _train(launch: dict[str, Any], channel: Channel) -> int:
    import ray
    from ray.exceptions import RayTaskError

    config = launch["config"]
    reward_settings.put(config, launch["reward"], launch["reward_keys"])
    keys = guest.secrets(os.environ) if launch["ray_address"] else None
    runner = ray.remote(num_cpus=1)(Runner).options(**actors.options()).remote(keys)
    reward, begun = _start_reward(launch, keys)
    model = config["actor_rollout_ref"]["model"]["path"]
    shells = shell.start(launch["rollout_workers"], model, keys)
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


def _start_reward(launch: dict[str, Any], keys: dict[str, str] | None) -> tuple[Any, Any]:
    """The reward actor and the promise of its start; None twice when responses score themselves."""
    if from_dict(launch["reward"]).is_local:
        return None, None
    gpus = launch["reward_gpus"]
    # One card of the run's is shared when it has none of its own.
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    cards = None if gpus or launch["hardware"] == "cpu" else first
    actor = reward_actor.start(launch["config"], gpus, cards, keys)
    return actor, actor.begin.remote(launch["references"], launch["reward_told"])


def _of_trackers(launch: dict[str, Any]) -> dict[str, str]:
    names, folder = trackers.chosen(launch["config"]["trainer"]["logger"]), Path(launch["record"])
    if not names:
        return {}
    return trackers.environment(names, folder, trackers.run_id(folder), os.environ)


def _environment(launch: dict[str, Any]) -> dict[str, str]:
    if launch["ray_address"]:
        return guest.environment(launch, os.environ)
    ours = environment.for_run(launch["hardware"], dict(os.environ), launch["place"])
    if "RAY_AUTH_TOKEN" not in os.environ:  # else Ray keeps one in HOME
        ours["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    return ours


def main(path: str) -> int:
    launch = json.loads(Path(path).read_text())
    channel = Channel(Path(launch["record"]))
    try:
        os.environ.update(_environment(launch))
    except UserError as error:
        return _refused(channel, error)
    os.environ.update(_of_trackers(launch))
    os.environ[heartbeat.VARIABLE] = str(Path(launch["record"]) / HEARTBEAT)
    channel.phase("starting ray")
    # Unix sockets have at most 107 characters, so this can't lie in the output folder. The guardian
    # makes it and removes it.
    return train(launch, os.environ["VERLAUNCH_TEMP"], channel)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
