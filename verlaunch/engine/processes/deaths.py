"""Ends the driver when any process of the run has died, and says which one it was.

    watch = Deaths(channel)          # before ray.init, whose children it watches as well
    ...
    watch.stop()                     # before ray.shutdown, which ends them all

Many deaths raise nothing where it matters: without its rollout worker or its queue the trainer
polls for an answer that never comes (verl/trainer/ppo/v1/replay_buffer.py:409), without the GCS
Ray tries for a minute to reach it. So the driver asks, twice a second: its own children (raylet,
gcs_server, log monitor ...) in /proc, the actors in Ray's table of them, where an actor that ended
because it was no longer needed, or was told to, has another cause of death.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from verlaunch.machine import processes
from verlaunch.record.channel import Channel

POLL_S = 0.5
TABLE_S = 5.0
LAST_WORDS_S = 1.0  # for the log monitor to bring what the dead one wrote
# Ray's own processes below the driver, by a word of their command line.
SYSTEM = {
    "gcs_server": "Ray's gcs_server",
    "raylet": "Ray's raylet",
    "log_monitor.py": "Ray's log monitor",
    "dashboard.py": "Ray's dashboard",
    "autoscaler/_private/monitor.py": "Ray's monitor",
}
# Actors by their class, in a reader's words.
ACTORS = {
    "Runner": "trainer",
    "WorkerDict": "training worker",
    "RolloutShell": "rollout worker",
    "Server": "vLLM server",
}
# Its death is answered by the trainer, which saves and says more (Trainer._ask_reward).
SPARED = ("RewardActor",)
DIED = ("WORKER_DIED", "NODE_DIED", "OWNER_DIED")

Look = Callable[[], tuple[str, int] | None]  # what has died, and its process id


class Deaths:
    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.over = threading.Event()
        self.told = threading.Lock()
        self.children: dict[int, str] = {}
        # Two threads: while the GCS is dead, a question to it takes Ray a minute.
        for look in (self._dead_child, self._dead_actor):
            threading.Thread(target=self._watch, args=(look,), daemon=True).start()

    def stop(self) -> None:
        self.over.set()

    def tell(self) -> bool:
        """Whether somebody has died; the first who asks tells it by an event."""
        return self._tell(self._dead_child) or self._tell(self._dead_actor)

    def _tell(self, look: Look) -> bool:
        dead = look()
        if dead and self.told.acquire(blocking=False):
            with contextlib.suppress(OSError):  # on a full disk the run ends without the event
                self.channel.event("died", process=dead[0], pid=dead[1])
        return dead is not None

    def tell_cause(self, error: Exception) -> None:
        """When `error` says that an actor has died: Ray's table of them may be a little later."""
        from ray.exceptions import RayActorError

        until = time.monotonic() + (TABLE_S if isinstance(error, RayActorError) else 0.0)
        while not self.tell() and time.monotonic() < until:
            time.sleep(POLL_S)

    def _watch(self, look: Look) -> None:
        while not self.over.wait(POLL_S):
            if self._tell(look) and not self.over.is_set():
                end_at_once()

    def _dead_child(self) -> tuple[str, int] | None:
        self.children.update(system_processes(os.getpid()))
        dead = ((name, pid) for pid, name in self.children.items() if processes.is_dead(pid))
        return next(dead, None)

    def _dead_actor(self) -> tuple[str, int] | None:
        import ray

        if not ray.is_initialized():
            return None
        try:
            # Only ours: a cluster that we are guests in has others'.
            job = ray.JobID.from_hex(ray.get_runtime_context().get_job_id())
            table = ray._private.state.state.actor_table(None, job, actor_state_name="DEAD")
        except Exception:
            return None  # the GCS does not answer: its own death is seen above
        found = [
            actor for actor in table.values() if _class(actor) not in SPARED and _has_died(actor)
        ]
        if not found:
            return None
        first = min(found, key=lambda actor: actor["EndTime"])  # the others may have followed it
        name = _class(first)
        return ACTORS.get(name, name), first["Pid"]


def end_at_once() -> NoReturn:
    """No `ray.shutdown`, which may wait for the dead; the guardian ends what is left."""
    time.sleep(LAST_WORDS_S)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


def _class(actor: dict[str, Any]) -> str:
    return actor["ActorClassName"].rpartition(".")[2]


def _has_died(actor: dict[str, Any]) -> bool:
    from ray.core.generated.common_pb2 import ActorDiedErrorContext

    cause = actor["DeathCause"]
    if not cause.HasField("actor_died_error_context"):
        return cause.HasField("oom_context")
    return ActorDiedErrorContext.Reason.Name(cause.actor_died_error_context.reason) in DIED


def system_processes(parent: int) -> dict[int, str]:
    """Ray's own processes below `parent`, by their process ids."""
    named = {pid: _system_name(pid) for pid in processes.children(parent)}
    return {pid: name for pid, name in named.items() if name}


def _system_name(pid: int) -> str:
    """Which of SYSTEM it is; empty for a child that may end, or has not got so far as to be one."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""
    return next((name for word, name in SYSTEM.items() if word in words), "")
