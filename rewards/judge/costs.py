"""What a judge's tokens cost, and the budget that stops the run: in dollars or in requests.

    budget = Budget(usd=5.0, price=find_price("openai", "gpt-6-luna"))
    reserved = await budget.take(Tokens(2000, 1024))    # Failure("budget", ..., final=True): spent
    budget.settle(reserved, Tokens(1800, 60))

A request is counted before it is sent and never given back, so a budget of n requests is n
requests. Dollars are reserved at an upper bound; while others are under way whose bounds would
not leave enough, a request waits for their bills. Each start of a run has its whole budget.
"""

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from rewards.part import CannotStart, Failure

TABLE = Path(__file__).with_name("prices.yaml")
_DATE = re.compile(r"-(latest|\d{4}-\d\d-\d\d|\d{8}|\d{4})$")
_GO_ON = "raise it with --rm_budget; the same command goes on from the last checkpoint"


@dataclass(frozen=True)
class Tokens:
    input: int
    output: int

    @property
    def total(self) -> int:
        return self.input + self.output


@dataclass(frozen=True)
class Price:
    """Dollars per million tokens."""

    input: float
    output: float

    def usd(self, tokens: Tokens) -> float:
        return (self.input * tokens.input + self.output * tokens.output) / 1e6


def find_price(provider: str, model: str) -> Price | None:
    prices: dict[str, list[float]] = yaml.safe_load(TABLE.read_text("utf-8")).get(provider, {})
    listed = prices.get(_DATE.sub("", model.removeprefix("models/")))
    return Price(*listed) if listed else None


class Budget:
    """requests: sent so far. usd: billed so far, None when the price is not known."""

    def __init__(
        self, requests: int | None = None, usd: float | None = None, price: Price | None = None
    ) -> None:
        if usd is not None and price is None:
            raise CannotStart(
                "a budget in dollars needs the model's price, and it is not in "
                "rewards/judge/prices.yaml; give a number of requests: --rm_budget 10000requests"
            )
        self.requests = 0
        self._most_requests, self._most_usd, self._price = requests, usd, price
        self._billed = self._reserved = 0.0
        self._open = 0
        self._settled = asyncio.Event()

    @property
    def usd(self) -> float | None:
        return self._billed if self._price else None

    async def take(self, bound: Tokens) -> float:
        """Counts one request, right before it is sent. Returns what to settle it with."""
        usd = self._price.usd(bound) if self._price else 0.0
        while self._check(usd) and self._open:
            self._settled.clear()
            await self._settled.wait()
        self.requests += 1
        self._open += 1
        self._reserved += usd
        return usd

    def settle(self, reserved: float, tokens: Tokens | None) -> None:
        """tokens: as billed; None when nobody knows, and then the bound counts as billed."""
        self._open -= 1
        self._reserved = self._reserved - reserved if self._open else 0.0  # sums of floats drift
        if self._price:
            self._billed += reserved if tokens is None else self._price.usd(tokens)
        self._settled.set()

    def _check(self, usd: float) -> bool:
        """Whether it has to wait for the bills of others. Raises Failure when it is spent."""
        spent = None
        if self._most_requests is not None and self.requests >= self._most_requests:
            spent = f"{self.requests} requests"
        elif self._most_usd is not None and self._billed + usd > self._most_usd:
            spent = f"${self._billed:.4f} of ${self._most_usd:g}"
        if spent:
            raise Failure("budget", f"the judge's budget is spent ({spent}); {_GO_ON}", final=True)
        return self._most_usd is not None and self._billed + self._reserved + usd > self._most_usd
