"""Limits of one provider, kept exactly for all calls of one asyncio loop.

    limits = Limits(concurrency=32, rpm=600, tpm=1_000_000)
    async with limits.slots:                   # one of 32, kept through retries and their waits
        reserved = await limits.admit(tokens=2500)    # now it may be sent
        ...
        limits.settle(reserved, tokens=812)    # what it really cost

Exact means at the server: when a request is counted there is not known here, only that it is
between its sending and its end. So it counts here from the one until a minute after the other.

Requests per minute are spread evenly, one every 60/rpm seconds: DashScope enforces each second's
share of the minute, and an even stream never trips over any provider's shorter windows.
Tokens are reserved at an upper bound and settled with the provider's own count.

After "too many requests" nobody sends until the wait is over. After a long one those who waited
leave one by one over as long again: released together, they would be turned away together.
"""

import asyncio
import math
import time
from collections import deque
from contextlib import suppress

MINUTE_S = 60.0
LONG_PAUSE_S = 1.0
CATCH_UP_S = 0.05  # lateness of a busy loop that the pace makes up for


class Window:
    """At most `limit` units in any `length_s`. Pure bookkeeping: the time is an argument."""

    def __init__(self, limit: float, length_s: float) -> None:
        self.limit, self.length_s = limit, length_s
        self._open = 0.0  # units of requests that have not ended
        self._ended: deque[tuple[float, float]] = deque()  # (leaves the window at, units)
        self._held = 0.0  # units in _ended

    def take(self, units: float) -> None:
        self._open += units

    def settle(self, taken: float, used: float, now: float) -> None:
        self._open -= taken
        if used:
            self._ended.append((now + self.length_s, used))
            self._held += used

    def wait_s(self, units: float, now: float) -> float:
        """0 when there is room, else the least time until there can be; inf: until one ends.

        What is larger than the limit gets in when it is alone.
        """
        while self._ended and self._ended[0][0] <= now:
            self._held -= self._ended.popleft()[1]
        if not self._ended:
            self._held = 0.0  # sums of floats drift
        if self._open + self._held + min(units, self.limit) <= self.limit:
            return 0.0
        return self._ended[0][0] - now if self._ended else math.inf


class Limits:
    """All waiting is first come, first served."""

    def __init__(self, concurrency: int, rpm: float | None, tpm: float | None) -> None:
        self.slots = asyncio.Semaphore(concurrency)
        self._concurrency = concurrency
        self._gap_s = MINUTE_S / rpm if rpm else 0.0
        # fewer than one per minute: one per that longer while
        self._requests = (
            Window(max(1, math.floor(rpm)), max(MINUTE_S, self._gap_s)) if rpm else None
        )
        self._tokens = Window(tpm, MINUTE_S) if tpm else None
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()
        self._next_at = self._paused_until = self._ramp_until = -math.inf
        self._ramp_gap_s = 0.0
        self._over = False

    async def admit(self, tokens: float) -> float:
        """Returns when one more request of at most that many tokens may be sent: what to settle or
        to give back, once, whatever becomes of it.
        """
        async with self._turn:
            while not self._over and (wait_s := self._wait_s(tokens, time.monotonic())) > 0:
                await self._sleep(wait_s)
            return self._take(tokens, time.monotonic())

    def settle(self, reserved: float, tokens: float | None) -> None:
        """The request has ended. tokens: as the provider counts, None when nobody knows."""
        self._settle(reserved, reserved if tokens is None else tokens, requests=1)

    def give_back(self, reserved: float) -> None:
        """It was not sent after all."""
        self._settle(reserved, 0.0, requests=0)

    def pause(self, seconds: float) -> None:
        """Nobody sends for so long: a server has said that it is too much."""
        until = time.monotonic() + seconds
        if until > self._paused_until:
            self._paused_until = until
            if seconds >= LONG_PAUSE_S:
                self._ramp_until = until + seconds
                self._ramp_gap_s = seconds / self._concurrency

    def end(self) -> None:
        """Lets all who wait go: nothing will be sent any more, and they are told why elsewhere."""
        self._over = True
        self._changed.set()

    async def _sleep(self, seconds: float) -> None:
        """Until then, or until a request ends or the limits do."""
        self._changed.clear()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._changed.wait(), None if seconds == math.inf else seconds)

    def _wait_s(self, tokens: float, now: float) -> float:
        waits = [self._paused_until - now, self._next_at - now]
        if self._requests:
            waits.append(self._requests.wait_s(1, now))
        if self._tokens:
            waits.append(self._tokens.wait_s(tokens, now))
        return max(waits)

    def _take(self, tokens: float, now: float) -> float:
        gap_s = max(self._gap_s, self._ramp_gap_s if now < self._ramp_until else 0.0)
        self._next_at = max(self._next_at, now - CATCH_UP_S) + gap_s if gap_s else -math.inf
        if self._tokens:
            tokens = min(tokens, self._tokens.limit)
            self._tokens.take(tokens)
        if self._requests:
            self._requests.take(1)
        return tokens

    def _settle(self, taken: float, used: float, requests: int) -> None:
        now = time.monotonic()
        if self._tokens:
            self._tokens.settle(taken, used, now)
        if self._requests:
            self._requests.settle(1, requests, now)
        self._changed.set()
