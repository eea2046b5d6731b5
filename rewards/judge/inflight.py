"""One answer for those who ask the same thing at the same time.

    shared = InFlight()
    await asyncio.gather(shared.run("k", ask), shared.run("k", ask))  # asks once

A caller that is cancelled leaves the work to the others. Left out on purpose: remembering answers
(cache.py); once the work is done, the next caller starts anew.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class InFlight(Generic[T]):
    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[T]] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._tasks

    async def run(self, key: str, work: Callable[[], Awaitable[T]]) -> T:
        """What `work` returns or raises; that of an earlier caller while it is under way."""
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.ensure_future(_of(work))
            task.add_done_callback(lambda _: self._tasks.pop(key, None))
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Cancels what is under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _of(work: Callable[[], Awaitable[T]]) -> T:
    return await work()
