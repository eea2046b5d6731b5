"""One user's function in a child process that can be killed, with a time limit on every call.

    child = Killable("/home/me/my_reward.py:score", timeout_s=30, load_timeout_s=60)
    await child.score("math_reasoning", "so 42", "42", None)  # {"score": 1.0}, or raises Failure

pebble keeps the process and makes a new one after a kill or a crash. Importing the function has a
limit of its own, because a file that imports torch takes longer than any call should. This is no
sandbox: the child may read and write what we may.
"""

import asyncio
import pickle
import signal
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from pebble import ProcessExpired, ProcessPool

from rewards.functions.child import begin, run
from rewards.functions.spawn import Spawn, end
from rewards.functions.turns import Turns
from rewards.part import Failure


class Killable:
    """One call at a time, in the order in which they came; waiting for one's turn has no limit.

    Kinds of Failure: load, exception, bad_value, hang, crash, unsendable.
    """

    def __init__(self, spec: str, timeout_s: float, load_timeout_s: float) -> None:
        self.spec, self.timeout_s, self.load_timeout_s = spec, timeout_s, load_timeout_s
        self.waiting = 0
        self._pool: ProcessPool | None = None
        self._loaded = False
        self._cannot_load: Failure | None = None
        self._turn = Turns(1)

    async def score(self, *row: Any) -> dict[str, Any]:
        """row: data_source, solution_str, ground_truth, extra_info. Raises Failure."""
        try:
            packed = pickle.dumps(row)
        except Exception as error:  # whatever the row's objects raise
            raise Failure("unsendable", f"the row does not pickle: {error}") from None
        self.waiting += 1
        try:
            async with self._turn.here():
                await self._load()
                late = f"no answer within {self.timeout_s:g} s"
                return await self._ask(packed, self.timeout_s, late)
        finally:
            self.waiting -= 1

    async def _load(self) -> None:
        if self._cannot_load is not None:
            raise self._cannot_load.with_traceback(None)  # it would grow with every row
        if not self._loaded:
            late = f"importing it took longer than {self.load_timeout_s:g} s"
            await self._ask(None, self.load_timeout_s, late)
            self._loaded = True

    async def _ask(self, packed: bytes | None, timeout_s: float, late: str) -> dict[str, Any]:
        try:
            future = self._running_pool().schedule(run, (self.spec, packed), timeout=timeout_s)
            kind, answer = await asyncio.wrap_future(future)
        except (FutureTimeoutError, asyncio.TimeoutError):  # one and the same from Python 3.11 on
            self._loaded = False
            raise Failure("hang", f"{self._name()}: {late}; killed") from None
        except ProcessExpired as error:
            self._loaded = False
            raise Failure("crash", f"{self._name()}: {_how_it_died(error.exitcode)}") from None
        except RuntimeError:  # BrokenProcessPool too: the child died while it was idle
            self.close(wait=False)
            raise Failure("crash", f"{self._name()}: its process died between calls") from None
        except asyncio.CancelledError:
            self._loaded = False  # pebble kills the child of a call that is cancelled
            raise
        if kind == "ok":
            return answer
        failure = Failure(kind, answer)
        self._cannot_load = failure if kind == "load" else None
        raise failure

    def _name(self) -> str:
        return self.spec.rpartition("/")[2]

    def _running_pool(self) -> ProcessPool:
        if self._pool is None:
            self._pool = ProcessPool(max_workers=1, initializer=begin, context=Spawn())
        return self._pool

    def close(self, wait: bool = True) -> None:
        pool, self._pool, self._loaded = self._pool, None, False
        if pool is not None:
            end(pool, wait)


def _how_it_died(exitcode: int) -> str:
    if exitcode < 0:
        names = {number.value: number.name for number in signal.Signals}
        return f"its process was killed by {names.get(-exitcode, f'signal {-exitcode}')}"
    return f"its process ended itself with exit code {exitcode}"
