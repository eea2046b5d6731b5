"""One request, metered: leave to send it, its place in the budget, its bill, its counters.

    sender = Sender(spec, endpoint)
    answer = await sender.send(ask, without=frozenset())    # Trouble when it brought no answer

Left out on purpose: whether to send it again (client.py).
"""

import json
import time
from collections.abc import Callable

from rewards.judge.ask import Answer, Ask
from rewards.judge.costs import Budget, Price, Tokens, find_price
from rewards.judge.endpoint import Endpoint
from rewards.judge.failed_requests import Trouble, read_inner
from rewards.judge.protocols import PROTOCOLS, Body, UnreadableReply
from rewards.judge.rate_limits import Limits
from rewards.judge.stats import Stats
from rewards.judge.transport import Transport
from rewards.spec import JudgeSpec

OVERHEAD_TOKENS = 64  # a chat template's own
NOTHING = Tokens(0, 0)


def _bound(ask: Ask) -> Tokens:
    """No tokenizer makes more tokens of a text than it has bytes."""
    texts = (ask.system, ask.user, json.dumps(ask.schema))
    length = sum(len(text.encode("utf-8", "replace")) for text in texts)
    return Tokens(length + OVERHEAD_TOKENS, ask.max_tokens)


def _price(endpoint: Endpoint) -> Price | None:
    """A server of one's own has a bill of its own; a proxy of a provider bills as the provider."""
    unknown = endpoint.own and endpoint.provider.name == "openai"
    return None if unknown else find_price(endpoint.provider.name, endpoint.model)


class Sender:
    def __init__(self, spec: JudgeSpec, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.limits = Limits(spec.concurrency, spec.rpm, spec.tpm)
        self.budget = Budget(spec.budget_requests, spec.budget_usd, _price(endpoint))
        self.stats = Stats()
        self.wire = PROTOCOLS[endpoint.provider.protocol]
        self._transport = Transport(endpoint, spec.timeout_s)

    async def send(
        self, ask: Ask, without: frozenset[str], check: Callable[[], None] = lambda: None
    ) -> Answer:
        """check: called when its turn has come, right before it is sent; may raise.

        Raises Trouble, and Failure for a spent budget.
        """
        bound = _bound(ask)
        body = self.wire.body(self.endpoint, ask, without)
        self._transport.open()
        tokens = await self.limits.admit(bound.total)
        try:
            check()
            reserved = await self.budget.take(bound)
        except BaseException:
            self.limits.give_back(tokens)
            raise
        billed: Tokens | None = None  # as long as nobody has said otherwise
        started = time.monotonic()
        try:
            with self.stats.request():
                answer = await self._exchange(body)
            billed = answer.tokens
        except Trouble as trouble:
            self.stats.counts["failed_requests"] += 1
            billed = None if trouble.billed else NOTHING
            raise
        finally:
            self.budget.settle(reserved, billed)
            self.limits.settle(tokens, billed.total if billed else None)
        self.stats.answered(time.monotonic() - started, answer.tokens or NOTHING)
        return answer

    async def _exchange(self, body: Body) -> Answer:
        try:
            data = await self._transport.post(self.wire.path, body)
            if trouble := read_inner(data, self.endpoint):
                raise trouble
            return self.wire.read(data)
        except UnreadableReply as error:
            words = f"nothing readable from {self.endpoint.shown}: {error}"
        raise Trouble("transient", words, billed=True)

    def curves(self) -> dict[str, float]:
        cost = {} if self.budget.usd is None else {"judge/cost_usd": self.budget.usd}
        return {**self.stats.curves(), **cost}

    async def close(self) -> None:
        await self._transport.close()
