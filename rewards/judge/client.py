"""The judge's client: one `ask`, and all that can go wrong between it and its answer.

    client = Client(spec)                       # reads the key; CannotStart when there is none
    answer = await client.ask(Ask(system, user, schema))
    client.curves()["judge/retries"]

Never more in flight or per minute than the spec allows (rate_limits.py), never more than its budget
(costs.py). What may pass is tried again; what cannot (a bad key, an empty purse, an unknown model)
raises a final Failure with the provider's words, and from then on every ask fails without a
request. Made for one asyncio loop. Left out on purpose: what is asked and what an answer means.
"""

import asyncio
import os
import random
from collections.abc import Mapping
from contextlib import suppress

from rewards.judge.ask import Answer, Ask
from rewards.judge.endpoint import find_endpoint
from rewards.judge.failed_requests import Trouble
from rewards.judge.sender import Sender
from rewards.part import Failure
from rewards.spec import JudgeSpec

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 8.0
FIRST_PAUSE_S = 0.05
GOES_ON = {
    False: "the judge goes on without what it refused",
    True: "the judge takes no system role, so those words go in front of the question",
}
REFUSED = Answer("", "refusal")  # a filter of the provider's, before any judge saw it


def backoff_s(attempt: int) -> float:
    """0.25 to 0.5 s after attempt 0, then doubling up to 4 to 8 s.

    Jitter over the upper half only: eight such waits last 19.75 s at the least, so that a server
    may be gone for ten seconds. Over the whole range one call in fifty would give up before.
    """
    longest = min(FIRST_WAIT_S * 2**attempt, LONGEST_WAIT_S)
    return random.uniform(longest / 2, longest)


def _is_of_roles(trouble: Trouble) -> bool:
    """llama.cpp and SGLang answer 500 when a chat template refuses the roles."""
    words = trouble.words.lower()
    return trouble.kind == "transient" and ("role" in words or "support" in words)


class Client:
    """notes: sentences for the screen; one more when the server refuses a field."""

    def __init__(self, spec: JudgeSpec, environ: Mapping[str, str] | None = None) -> None:
        endpoint = find_endpoint(spec, os.environ if environ is None else environ)
        self.notes = list(endpoint.notes)
        self._own = endpoint.own
        self._sender = Sender(spec, endpoint)
        self._retries = spec.retries
        self._without: set[str] = set()  # optional fields that the server refused
        self._turned_away = 0  # times that the server said "too many" since it last answered
        self._end: Failure | None = None
        self._ended = asyncio.Event()

    async def ask(self, ask: Ask) -> Answer:
        """Raises Failure. Kinds: judge_unavailable (after all retries), judge_too_long,
        judge_rejected (of this row); judge_fatal and budget end the run (final).
        """
        self._sender.stats.counts["calls"] += 1
        try:
            self._check()
            async with self._sender.limits.slots:
                # kept while it waits to try again: a server in trouble is asked by so many at most
                return await self._insist(ask)
        except Failure as failure:
            self._note_end(failure)
            raise

    async def _insist(self, ask: Ask) -> Answer:
        attempt = 0
        while True:
            try:
                answer = await self._adapt(ask)
                self._turned_away = 0
                return answer
            except Trouble as error:
                trouble = error
            if trouble.kind == "refused":
                return REFUSED
            if failure := self._failure(trouble, attempt):
                raise failure
            await self._wait(attempt, trouble)
            attempt += 1
            self._sender.stats.counts["retries"] += 1

    def _failure(self, trouble: Trouble, attempt: int) -> Failure | None:
        """None when it is worth another try."""
        if trouble.kind == "fatal":
            return Failure("judge_fatal", trouble.words, final=True)
        if trouble.kind == "too_long":
            return Failure("judge_too_long", trouble.words)
        if trouble.kind == "rejected":
            # when nothing was accepted so far, what is wrong is wrong with every request
            return Failure("judge_rejected", trouble.words, not self._sender.stats.has_answers)
        if attempt < self._retries:
            return None
        return Failure("judge_unavailable", f"gave up after {attempt + 1} tries; {trouble.words}")

    def _note_end(self, failure: Failure) -> None:
        if failure.final and self._end is None:
            self._end = failure
            self._ended.set()
            self._sender.limits.end()

    def _check(self) -> None:
        if self._end is not None:
            raise Failure(self._end.kind, self._end.reason, final=True)

    async def _wait(self, attempt: int, trouble: Trouble) -> None:
        """Its own wait, or what the server asked for if that is longer; less when all is over."""
        asked_s = (trouble.wait_s or 0.0) * random.uniform(1.0, 1.1)
        seconds = max(backoff_s(attempt), asked_s)
        if trouble.busy:
            self._sender.limits.pause(asked_s or min(seconds, self._pause_s()))
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._ended.wait(), seconds)

    def _pause_s(self) -> float:
        """For all: short after one "too many" among answers, long when there is nothing else."""
        self._turned_away += 1
        return FIRST_PAUSE_S * 2 ** min(self._turned_away - 1, 20)

    async def _adapt(self, ask: Ask) -> Answer:
        """Drops an optional field for the rest of the run when the server refuses it."""
        while True:
            without = frozenset(self._without)
            try:
                return await self._sender.send(ask, without, self._check)
            except Trouble as trouble:
                refused = self._refused_field(trouble, without)
                if refused is None:
                    raise
                words = trouble.words
            if refused not in self._without:
                self._without.add(refused)
                self.notes.append(f"{GOES_ON[refused == 'system']}: {words}")

    def _refused_field(self, trouble: Trouble, without: frozenset[str]) -> str | None:
        if trouble.kind != "rejected" and not _is_of_roles(trouble):
            return None
        if learnt := self._without - without:  # by another ask, while this one was under way
            return min(learnt)
        if self._sender.stats.has_answers:
            return None  # the fields are fine, it is this row
        words = trouble.words.lower()
        optional = self._sender.wire.optional
        sent = [field for field in optional if field not in without]
        named = (field for field in sent if any(word in words for word in optional[field]))
        if trouble.kind != "rejected":
            return "system" if "system" in sent and "system" in named else None
        # a small server of one's own may say no more than "bad request"
        plain = (field for field in ("structured", "system") if self._own and field in sent)
        return next(named, next(plain, None))

    def curves(self) -> dict[str, float]:
        return self._sender.curves()

    async def close(self) -> None:
        await self._sender.close()
