"""Requests that arrive one by one, run in batches of similar length.

    batcher = Batcher([forward], length=len, max_tokens=4096)
    await batcher.score([101, 7592, 102])

An idle model starts at once when a batch is full, else when its oldest request has waited WINDOW_S.
While it computes, requests gather. Several forwards (one per card) share one queue, so the least
loaded is whichever asks next. A batch that fails is halved until only what is to blame fails.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rewards.part import Failure

WINDOW_S = 0.010
CLOSED = "the reward model was closed"
_SHOWN = 200  # characters of an error message
DEAD_CARD = "CUDA error"  # after one of these a process computes nothing any more

Item = TypeVar("Item")
Forward = Callable[[list[Item]], Awaitable[Sequence[float]]]


class TooBig(Exception):
    """The batch does not fit into memory; a smaller one may."""


@dataclass(eq=False)
class _Request(Generic[Item]):
    item: Item
    length: int
    arrived: float
    answer: "asyncio.Future[float]"


def cut(requests: Sequence[_Request[Item]], max_tokens: int) -> Iterator[list[_Request[Item]]]:
    """Batches of at most max_tokens with padding, or of one request, the longest first.

    With max_tokens 0 every request is alone.
    """
    batch: list[_Request[Item]] = []
    for request in sorted(requests, key=lambda request: -request.length):
        if batch and (len(batch) + 1) * batch[0].length > max_tokens:
            yield batch
            batch = []
        batch.append(request)
    if batch:
        yield batch


def _describe(error: Exception) -> str:
    head = str(error).strip().split("\n", 1)[0][:_SHOWN]
    return f"{type(error).__name__}: {head}" if head else type(error).__name__


def _deliver(batch: Sequence[_Request[Item]], scores: Sequence[float]) -> None:
    for request, score in zip(batch, scores, strict=True):
        if request.answer.done():  # whoever asked has gone
            continue
        if math.isfinite(score):
            request.answer.set_result(score)
        else:
            reason = f"the model gave {score} for {request.length} tokens"
            request.answer.set_exception(Failure("reward_model", reason))


def _fail(batch: Sequence[_Request[Item]], reason: str, final: bool = False) -> None:
    for request in batch:
        if not request.answer.done():
            request.answer.set_exception(Failure("reward_model", reason, final))


class Batcher(Generic[Item]):
    """max_tokens: of a batch with its padding; it shrinks for good when memory runs out."""

    def __init__(
        self,
        forwards: Sequence[Forward[Item]],
        length: Callable[[Item], int],
        max_tokens: int,
        window_s: float = WINDOW_S,
    ) -> None:
        self.max_tokens, self.batches, self.requests = max_tokens, 0, 0
        self._length, self._window_s, self._closed = length, window_s, False
        self._waiting: list[_Request[Item]] = []
        self._arrived, self._turn = asyncio.Event(), asyncio.Lock()
        self._workers = [asyncio.ensure_future(self._work(forward)) for forward in forwards]

    async def score(self, item: Item) -> float:
        """Raises Failure for a score that is not finite, and for what the model cannot take."""
        if self._closed:
            raise Failure("reward_model", CLOSED)
        loop = asyncio.get_running_loop()
        request = _Request(item, self._length(item), loop.time(), loop.create_future())
        self._waiting.append(request)
        self._arrived.set()
        return await request.answer

    async def close(self) -> None:
        self._closed = True
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        _fail(self._waiting, CLOSED)

    async def _work(self, forward: Forward[Item]) -> None:
        while True:
            async with self._turn:
                batch = await self._next()
            try:
                await self._run(forward, batch)
            except asyncio.CancelledError:
                _fail(batch, CLOSED)
                raise

    async def _next(self) -> list[_Request[Item]]:
        """Waits until a batch is full or its oldest request has waited long enough."""
        while True:
            self._arrived.clear()
            self._waiting = [each for each in self._waiting if not each.answer.done()]
            left = self._left_s()
            if left is not None and left <= 0:
                return self._take()
            try:
                await asyncio.wait_for(self._arrived.wait(), left)
            except asyncio.TimeoutError:
                continue

    def _left_s(self) -> float | None:
        """Seconds until a batch should start, None with nothing to run."""
        if not self._waiting:
            return None
        if sum(request.length for request in self._waiting) >= self.max_tokens:
            return 0.0
        waited = asyncio.get_running_loop().time() - self._waiting[0].arrived
        return self._window_s - waited

    def _take(self) -> list[_Request[Item]]:
        """The batch that the oldest request belongs to, so that none waits for ever."""
        oldest = self._waiting[0]
        batch = next(each for each in cut(self._waiting, self.max_tokens) if oldest in each)
        taken = set(map(id, batch))
        self._waiting = [each for each in self._waiting if id(each) not in taken]
        return batch

    async def _run(self, forward: Forward[Item], batch: list[_Request[Item]]) -> None:
        try:
            _deliver(batch, await forward([request.item for request in batch]))
        except Exception as error:  # whatever one input makes a model raise, the others must score
            if DEAD_CARD in str(error):
                return _fail(batch, _describe(error), final=True)
            if len(batch) == 1:
                return _fail(batch, _describe(error))
            if isinstance(error, TooBig):
                self.max_tokens = min(self.max_tokens, len(batch) * batch[0].length // 2)
            middle = len(batch) // 2
            await self._run(forward, batch[:middle])
            await self._run(forward, batch[middle:])
        else:
            self.batches += 1
            self.requests += len(batch)
