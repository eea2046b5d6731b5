"""A semaphore for each asyncio loop that asks: they belong to one loop, and pools outlive several.

async with Turns(4).here(): ...   # at most four of this loop at a time
"""

import asyncio
from weakref import WeakKeyDictionary


class Turns:
    def __init__(self, most: int) -> None:
        self.most = most
        self._of: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = (
            WeakKeyDictionary()
        )

    def here(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        return self._of.setdefault(loop, asyncio.Semaphore(self.most))
