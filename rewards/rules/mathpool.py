r"""Whether two formulas are equal, asked of Math-Verify in child processes that can be killed.

    await is_equal(r"\frac{1}{\sqrt2}", r"\frac{\sqrt2}{2}")  # True

The first question starts the pool; a run whose answers are numbers never does. A comparison that
takes too long or breaks its process counts as not equal, since only an odd answer does that, and
the process is replaced. Raises Failure when no process starts at all. Left out: what is worth
asking (`rewards.rules.maths.equal`).
"""

import asyncio
import signal
import threading
from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeoutError
from importlib.util import find_spec

from pebble import ProcessExpired, ProcessPool

from rewards.functions.spawn import Spawn, end
from rewards.functions.turns import Turns
from rewards.part import Failure
from rewards.rules.mathchild import CPU_S, begin, equal, works

WORKERS = 2
ATTEMPTS = 2
LIMIT_S = 3 * CPU_S  # on the clock, before the process of a comparison is killed
PATIENCE_S = 30.0  # beyond that, for a process that does not even begin
START_LIMIT_S = 120.0  # importing sympy on a slow network file system
MOST_TASKS = 2000  # of one process, so that its caches do not grow for ever
MOST_KNOWN = 4096  # comparisons remembered


class Pool:
    """Its calls may come from any number of asyncio loops."""

    def __init__(
        self, workers: int = WORKERS, limit_s: float = LIMIT_S, patience_s: float = PATIENCE_S
    ) -> None:
        self.workers, self.limit_s, self.patience_s = workers, limit_s, patience_s
        self._pool: ProcessPool | None = None
        self._ready: ProcessPool | None = None  # the one that has answered
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], bool] = {}
        self._turns = Turns(workers)

    async def is_equal(self, gold: str, answer: str) -> bool:
        """Raises Failure."""
        pair = (gold, answer)
        if pair in self._known:
            return self._known[pair]
        async with self._turns.here():
            found = await self._asked(pair)
        if found is None:  # not remembered: a busy machine may have been the reason
            return False
        if len(self._known) >= MOST_KNOWN:
            self._known.pop(next(iter(self._known)), None)
        self._known[pair] = found
        return found

    async def _asked(self, pair: tuple[str, str]) -> bool | None:
        """None: no answer in time, or none that the process survived."""
        for _ in range(ATTEMPTS):
            pool = self._running()
            try:
                if self._ready is not pool:
                    await self._begin(pool)
                return await self._answer(pool, self.limit_s, equal, *pair)
            except ProcessExpired as error:
                if error.exitcode != -signal.SIGKILL:
                    return None
                self._drop(pool)
            except RuntimeError:  # BrokenProcessPool too: a process died while it was idle
                self._drop(pool)
        raise Failure("crash", "Math-Verify's processes are killed, or die as soon as they start")

    async def _begin(self, pool: ProcessPool) -> None:
        """A broken installation would call every answer wrong."""
        if not await self._answer(pool, START_LIMIT_S, works):
            self._drop(pool)
            raise Failure(
                "load", "Math-Verify does not start, or cannot read LaTeX, on this machine"
            )
        self._ready = pool

    async def _answer(
        self, pool: ProcessPool, limit_s: float, asked: Callable[..., bool], *given: str
    ) -> bool | None:
        """None: killed, since it took too long. Raises Failure when it was never begun."""
        future = asyncio.wrap_future(pool.schedule(asked, given, timeout=limit_s))
        done, _ = await asyncio.wait([future], timeout=limit_s + self.patience_s)
        if not done:
            future.cancel()
            self._drop(pool)
            raise Failure("hang", "Math-Verify's processes do not answer at all")
        try:
            return future.result()
        except (FutureTimeoutError, asyncio.TimeoutError):  # one and the same from 3.11 on
            return None

    def _running(self) -> ProcessPool:
        with self._lock:
            if self._pool is None:
                if find_spec("math_verify") is None:
                    raise Failure(
                        "load", "math_verify is missing; install: pip install math-verify"
                    )
                self._pool = ProcessPool(self.workers, MOST_TASKS, begin, context=Spawn())
            return self._pool

    def _drop(self, pool: ProcessPool) -> None:
        with self._lock:
            if self._pool is pool:
                self._pool = None
        end(pool, wait=False)

    def close(self) -> None:
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            end(pool, wait=True)


_POOL = Pool()


async def is_equal(gold: str, answer: str) -> bool:
    """gold, answer: texts of statements (`rewards.rules.maths.statement`), in that order."""
    return await _POOL.is_equal(gold, answer)
