"""How we start and end child processes: spawned, without importing the parent's __main__ first.

    ProcessPool(max_workers=1, initializer=begin, context=Spawn())

The standard library makes a spawned child import the parent's __main__. In a Ray actor that is
Ray's own worker script (seconds), and from a console it is no file at all.
"""

import threading
import types
from multiprocessing import popen_spawn_posix, spawn
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

from pebble import ProcessPool


def _preparation(name: str) -> dict[str, Any]:
    data = spawn.get_preparation_data(name)
    return {key: given for key, given in data.items() if not key.startswith("init_main")}


class _Popen(popen_spawn_posix.Popen):
    # Rebinding one name inside _launch leaves everyone else's processes as they are.
    _launch = types.FunctionType(
        popen_spawn_posix.Popen._launch.__code__,  # type: ignore[attr-defined]
        {
            **vars(popen_spawn_posix),
            "spawn": types.SimpleNamespace(**{**vars(spawn), "get_preparation_data": _preparation}),
        },
    )


class _Process(SpawnProcess):
    @staticmethod
    def _Popen(process_obj: Any) -> _Popen:
        return _Popen(process_obj)


class Spawn(SpawnContext):
    Process = _Process


def end(pool: ProcessPool, wait: bool) -> None:
    """Takes seconds, which are not always ours to wait for."""

    def stop() -> None:
        pool.stop()
        pool.join()

    if wait:
        stop()
    else:
        threading.Thread(target=stop, daemon=True).start()
