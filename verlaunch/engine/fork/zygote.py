"""One process that has imported torch, verl and vLLM, and is forked for every process of a run.

    # imports, and waits for a file
    python -m verlaunch.engine.fork.zygote outputs/logs/go verlaunch.engine.processes.driver
    python -m verlaunch.engine.fork.zygote outputs/nodes/1/logs/go verlaunch.engine.processes.node

Each process of a run would spend six to nine seconds of CPU time on the same imports. Here one
does, and it starts while the launcher still checks. `go` holds the path of launch.json: the first
child is the driver (driver.py), or on a machine that has joined what owns Ray there (node.py). The
others are Ray's workers, for whom fork_client.py asks through a socket; they wait until the imports
are done. All share the memory of what is imported. When no more workers come this process becomes a
small one (waiter.py); it ends with the driver, and with its exit code.

For the CPU only: CUDA does not survive a fork. A fork copies one thread, so there must be no other:
ALONE keeps libraries from starting any, and when one does, workers are started the usual way.
"""

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from verlaunch.engine.fork import fork_client, forked, waiter
from verlaunch.machine import garbage, processes

# The driver runs as soon as it and the first of these are there. Found with sys.modules of every
# actor.
DRIVER = "verlaunch.engine.processes.driver"
MODULES = (
    "ray", "torch", "transformers", "verl", "tensordict", "transfer_queue",
    "verl.trainer.main_ppo", "vllm", "verl.workers.rollout.vllm_rollout.vllm_async_server",
    "verlaunch.engine.training.trainer", "verlaunch.engine.training.workers",
    "verlaunch.engine.rollout.rollout", "verlaunch.engine.rollout.server",
)  # fmt: skip
# Read when a library is loaded. One thread is what Ray gives a worker that asks for one CPU.
ALONE = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
# Ray's C++ part reads its settings once, when ray is imported, and a worker dies without its job
# and this one: it ends when that process does.
RAYLET = "RAY_RAYLET_PID"
ADDED = "VERLAUNCH_ZYGOTE"  # names those of ALONE that we have set: the driver starts without them
CLIENT = "worker.py"
POLL_S = 0.05
IDLE_S = 20.0  # a run starts its workers within seconds; a later one is started the usual way


def environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """The variables to add to those of environment.for_run."""
    added = {name: value for name, value in ALONE.items() if name not in inherited}
    return {**added, ADDED: ",".join(added)}


def client(temp: str) -> str | None:
    """The script for Ray to start workers with, by a path that a shell reads as one word; None
    without a zygote."""
    link = os.path.join(temp, CLIENT)
    return link if os.path.exists(link) else None


@dataclass
class Zygote:
    """driver: the module. child: its process id, once it was asked for."""

    go: Path
    server: socket.socket
    driver: str = DRIVER
    child: int = 0

    def load(self, modules: Sequence[str]) -> None:
        """Modules stay: the collector need not look for garbage among them, now or in a child."""
        gc.disable()
        for name in modules:
            importlib.import_module(name)
            self._look()
        gc.freeze()

    def serve(self, idle_s: float) -> None:
        """Until nobody has asked for so long: what is imported takes a lot of memory."""
        asked = None  # when, the last time
        while not self.child or asked is None or time.monotonic() - asked < idle_s:
            self._look()
            if select.select([self.server], [], [], POLL_S)[0]:
                line, _ = self.server.accept()
                with line:
                    self._answer(line)
                asked = time.monotonic()
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        words = [sys.executable, "-I", "-S", waiter.__file__, str(self.child)]
        os.execv(sys.executable, words)

    def end(self, number: int, frame: object) -> None:
        """A signal, to be passed on: the driver ends its trackers before it goes."""
        if not self.child:
            os._exit(128 + number)
        os.kill(self.child, number)

    def _look(self) -> None:
        """Starts the driver when it is time, and ends when it has ended."""
        if not self.child and self.driver in sys.modules and self.go.exists():
            self._fork_driver(self.go.read_text())
        for pid, code in _ended():
            if pid == self.child:
                sys.exit(128 - code if code < 0 else code)

    def _fork_driver(self, launch: str) -> None:
        here = os.getpid()
        self.child = forked.fork()
        if self.child:
            return
        processes.die_with(here)
        self.server.close()
        for name in [*os.environ.pop(ADDED, "").split(","), *fork_client.JOB, RAYLET]:
            os.environ.pop(name, None)
        forked.run_module(self.driver, launch)

    def _answer(self, line: socket.socket) -> None:
        try:
            request = forked.read(line)
        except (OSError, ValueError):
            return
        pid = forked.fork() if _can_fork(request.environment) else -1
        if not pid:
            line.close()
            self.server.close()
            forked.become(request)
        request.close()
        if pid > 0:
            with contextlib.suppress(OSError):  # who asked has not waited
                line.sendall(str(pid).encode())


def _can_fork(asked: Mapping[str, str]) -> bool:
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        print(f"Workers import for themselves: a library has started {threads - 1} threads.")
    return threads == 1 and fork_client.JOB.items() <= asked.items()


def _ended() -> list[tuple[int, int]]:
    """Children that have ended, by process id and exit code."""
    found = []
    with contextlib.suppress(ChildProcessError):
        while (status := os.waitpid(-1, os.WNOHANG))[0]:
            found.append((status[0], os.waitstatus_to_exitcode(status[1])))
    return found


def main(
    go: str, driver: str = DRIVER, modules: Sequence[str] = MODULES, idle_s: float = IDLE_S
) -> None:
    temp = os.environ["VERLAUNCH_TEMP"]
    server = socket.socket(socket.AF_UNIX)
    server.bind(os.path.join(temp, fork_client.ADDRESS))
    server.listen(128)
    os.symlink(fork_client.__file__, os.path.join(temp, CLIENT))
    zygote = Zygote(Path(go), server, driver)
    signal.signal(signal.SIGTERM, zygote.end)
    garbage.never_at_exit()
    os.environ.update({**fork_client.JOB, RAYLET: str(os.getpid())})
    first, *others = modules
    zygote.load([first, driver, *others])
    zygote.serve(idle_s)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
