"""A reward model behind an HTTP server that already runs: messages out, one raw number back.

    scorer = UrlScorer("http://127.0.0.1:8000", None, None)
    await scorer.start()                                   # finds out what answers there
    await scorer.score_messages([{"role": "user", "content": "Hi"}], "Hello!")    # 3.25

The server has the tokenizer, so it gets the conversation and applies its own template. Which
servers there are, and how each is spoken to: dialects.py.
"""

import asyncio
import math
import random
from collections.abc import Iterable, Mapping
from typing import Any

import aiohttp
from yarl import URL

from rewards.models.dialects import DIALECTS, Dialect, Unreadable, plain
from rewards.models.probe import Probe
from rewards.models.profiles import profile_for
from rewards.models.turns import Turn, conversation
from rewards.part import CannotStart, Failure

CONCURRENCY = 128  # requests in flight: a server batches those that it holds
TIMEOUT_S = 180.0  # for one request; it waits its turn in the server's queue
CONNECT_S = 10.0
TRIES = 6
FIRST_TRIES = 2  # at the start, when a wrong address is likelier than trouble that passes
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 16.0
TRANSIENT = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
ABSENT = frozenset({404, 405})
_SHOWN = 200  # characters of a server's words
_EXAMPLE = ([{"role": "user", "content": "Say hello."}], "Hello!")


class _Refused(Exception):
    """The server's answer is an error: its status, and what it says."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"HTTP {status}: {' '.join(said.split())[:_SHOWN] or 'no words'}")
        self.status = status


def _parse(url: str) -> URL:
    try:
        parsed = URL(url)
    except ValueError:
        parsed = URL()
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise CannotStart(
            f"--rm_url {url}: not an address. Write it whole, such as http://127.0.0.1:8000"
        )
    return parsed


def _named(url: URL) -> Dialect | None:
    return next((each for each in DIALECTS if url.path.rstrip("/").endswith(each.path)), None)


def _base(url: URL, dialect: Dialect | None) -> URL:
    """Without a path that names an endpoint, and without the /v1 of other clients."""
    path = url.path.rstrip("/").removesuffix(dialect.path if dialect else "/v1")
    return url.with_path(path).with_query(url.query)


class UrlScorer:
    """probe: of the model's folder, where there is one; model: its name at the server."""

    def __init__(self, url: str, probe: Probe | None, model: str | None) -> None:
        """Raises CannotStart for what is no address."""
        parsed = _parse(url)
        self._dialect = _named(parsed)
        self._base = _base(parsed, self._dialect)
        self._shown = str(parsed.with_user(None).with_query(None))  # there may be a password
        name = (model or "").rstrip("/").rsplit("/", 1)[-1]
        self._profile = probe.profile if probe else profile_for(name, "")
        self._model = model
        self._session: aiohttp.ClientSession | None = None
        self._slots = asyncio.Semaphore(CONCURRENCY)

    async def start(self) -> None:
        """Finds the endpoint and scores once. Raises CannotStart."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S, sock_connect=CONNECT_S),
        )
        try:
            self._model = await self._served()
            await self._find()
        except CannotStart:
            await self.close()
            raise

    def _at(self, path: str) -> URL:
        return self._base.with_path(self._base.path.rstrip("/") + path).with_query(self._base.query)

    async def _served(self) -> str | None:
        """The model's name, if the server knows it by that; a server with one needs none."""
        assert self._session is not None
        try:
            async with self._session.get(self._at("/v1/models")) as response:
                listed = (await response.json())["data"]
                names = {each["id"] for each in listed}
        except (aiohttp.ClientError, asyncio.TimeoutError, ValueError, KeyError, TypeError):
            return None  # no such list: whether it scores is asked next
        return self._model if self._model in names else None

    async def _find(self) -> None:
        turns, absent = conversation(*_EXAMPLE), []
        for dialect in [self._dialect] if self._dialect else DIALECTS:
            try:
                await self._ask(dialect, turns, FIRST_TRIES)
            except _Refused as refusal:
                if refusal.status not in ABSENT:
                    raise CannotStart(self._no(dialect, refusal)) from None
                absent.append(dialect.path)
            except (Failure, Unreadable) as problem:
                why = getattr(problem, "reason", problem)
                raise CannotStart(f"--rm_url {self._shown}: {why}.") from None
            else:
                self._dialect = dialect
                return
        raise CannotStart(
            f"--rm_url {self._shown} answers, but serves no reward model: there is no "
            f"{' or '.join(absent)}. Start one: vllm serve MODEL --runner pooling"
        )

    def _no(self, dialect: Dialect, refusal: _Refused) -> str:
        if refusal.status in (401, 403):
            return (
                f"--rm_url {self._shown} wants a key ({refusal}), and none is sent. Serve the "
                "model on a private address without one."
            )
        return f"--rm_url {self._shown}: {dialect.path} cannot score ({refusal})."

    async def score_messages(self, messages: Iterable[Mapping[str, Any]], response: str) -> float:
        """The server's raw number. Raises Failure."""
        assert self._dialect is not None, "start comes first"
        turns = conversation(messages, response, self._profile.drop_system)
        turns = [{**turn, "content": plain(turn["content"])} for turn in turns]
        try:
            value = await self._ask(self._dialect, turns, TRIES)
        except (_Refused, Unreadable) as problem:
            raise Failure("reward_model", f"{self._shown}: {problem}") from None
        if not math.isfinite(value):
            raise Failure("reward_model", f"{self._shown} gave {value}, not a finite number")
        return value

    async def _ask(self, dialect: Dialect, turns: list[Turn], tries: int) -> float:
        """Waits and asks again while trouble may pass. Raises Failure, _Refused, Unreadable."""
        side = "right" if self._profile.truncate == "response" else "left"
        body = dialect.body(turns, side) | ({"model": self._model} if self._model else {})
        async with self._slots:
            for again in range(tries):
                try:
                    return dialect.value(await self._post(dialect.path, body))
                except (aiohttp.ClientError, asyncio.TimeoutError) as error:
                    problem = f"{type(error).__name__} {error}".replace(" ssl:default", "").strip()
                except _Refused as refusal:
                    if refusal.status not in TRANSIENT:
                        raise
                    problem = str(refusal)
                if again + 1 < tries:
                    await asyncio.sleep(_wait_s(again))
        raise Failure("reward_model", f"{self._shown}: {problem}, {tries} times in a row")

    async def _post(self, path: str, body: dict[str, Any]) -> Any:
        assert self._session is not None, "start comes first"
        async with self._session.post(self._at(path), json=body) as response:
            if response.status != 200:
                raise _Refused(response.status, await response.text(errors="replace"))
            try:
                return await response.json(content_type=None)
            except ValueError:
                raise Unreadable("the answer is not JSON") from None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def _wait_s(again: int) -> float:
    """Longer each time, and never alike for two that failed together."""
    return min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**again) * random.uniform(0.5, 1.5)
