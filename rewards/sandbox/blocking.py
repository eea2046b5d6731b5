"""Blocking work beside an asyncio loop: so many at a time, and told to stop when nobody waits.

    await in_thread(turns, run_local, job)  # run_local(job, stop: threading.Event)

Threads of our own, and daemons: the loop's executor is small and shared, and it would keep the
interpreter from ending. Subprocesses of asyncio's need a child watcher, which differs between
Python versions and loops.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from rewards.functions.turns import Turns

T = TypeVar("T")


def _settle(future: asyncio.Future, result: Any, error: BaseException | None) -> None:
    if future.done():
        return  # cancelled meanwhile
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


async def in_thread(turns: Turns, function: Callable[..., T], *arguments: Any) -> T:
    """function(*arguments, stop), where stop is set when the caller is cancelled."""
    loop = asyncio.get_running_loop()
    stop = threading.Event()

    def work() -> None:
        result, failed = None, None
        try:
            result = function(*arguments, stop)
        except BaseException as error:  # it is the awaiting row's to handle
            failed = error
        with suppress(RuntimeError):  # the loop is closed, nobody waits
            loop.call_soon_threadsafe(_settle, future, result, failed)

    async with turns.here():
        future: asyncio.Future = loop.create_future()
        threading.Thread(target=work, name="sandbox", daemon=True).start()
        try:
            return await future
        finally:
            stop.set()
