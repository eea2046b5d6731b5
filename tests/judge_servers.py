"""Judges on loopback: real HTTP servers that speak each provider's protocol, and fail on request.

    with JudgeServer("dashscope", judge=lambda prompt: 9, faults=[Fault(429), None]) as server:
        client = Client(server.spec(), server.environ)
    server.max_in_flight, server.most_within(60.0), server.requests[0].body

judge: text of the prompt -> a score, or the judge's very words. faults: one for each request in
turn (None: none), or a function of the request's number. As a program, for runs in other processes:

    python tests/judge_servers.py --provider openai --port-file port --counters counters.json \
        --fail-share 0.1 --down-from-request 500 --down-for-s 10

It is down from a request on, not from a second on: nobody knows how long a run takes to get there.
"""

import argparse
import asyncio
import importlib
import json
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # it runs as a program as well
from rewards.spec import JudgeSpec
from tests.judge_protocols import STYLES, TOKENS, Fault

KEY = "sk-test-0123456789abcdef"
KEY_NAMES = {
    **{"openai": "OPENAI_API_KEY", "local": "OPENAI_API_KEY", "gemini": "GEMINI_API_KEY"},
    **{"dashscope": "DASHSCOPE_API_KEY", "claude": "ANTHROPIC_API_KEY"},
}
MODELS = {
    **{"openai": "gpt-6-luna", "local": "my-judge", "gemini": "gemini-3.5-flash-lite"},
    **{"dashscope": "qwen-plus", "claude": "claude-haiku-5-5"},
}
TROUBLES = (  # of a bad day: what --fail-share mixes
    Fault(500),
    Fault(429),
    Fault(503, headers={"retry-after": "0.2"}),
    Fault(how="reset"),
    Fault(how="truncated"),
)
Faults = Sequence[Fault | None] | Callable[[int], Fault | None]

__all__ = ["KEY", "MODELS", "TOKENS", "Fault", "JudgeServer", "every", "share"]


@dataclass(frozen=True)
class Seen:
    at: float  # time.monotonic() of its arrival
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def prompt(self) -> str:
        texts = [self.body.get("system"), *(m["content"] for m in self.body["messages"])]
        return "\n".join(text for text in texts if text)


def every(nth: int, fault: Fault) -> Faults:
    """The fault for each nth request, counted from one."""
    return lambda number: fault if (number + 1) % nth == 0 else None


def share(part: float, faults: Sequence[Fault] = TROUBLES, seed: int = 0) -> Faults:
    """That part of all requests fails, by one of the faults."""
    draw = random.Random(seed)
    return lambda number: draw.choice(faults) if draw.random() < part else None


def _verdict(said: Any) -> str:
    if isinstance(said, str):
        return said
    return json.dumps({"reason": "as the test wants it", "score": said})


class JudgeServer:
    """refuses: fields that this server answers with 400. models: those it knows, None for all."""

    def __init__(
        self,
        provider: str = "openai",
        judge: Callable[[str], Any] = lambda prompt: 7,
        faults: Faults = (),
        *,
        latency_s: float = 0.0,
        key: str = KEY,
        refuses: Sequence[str] = (),
        models: Sequence[str] | None = None,
        port: int = 0,
    ) -> None:
        self.provider, self.port, self.key = provider, port, key
        self.requests: list[Seen] = []
        self.counters: Counter[str] = Counter()
        self.max_in_flight = 0
        self._in_flight = 0
        self._style = STYLES[provider]
        self._judge, self._faults, self._latency_s = judge, faults, latency_s
        self._refuses, self._models = refuses, models
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    # -- for the test

    @property
    def url(self) -> str:
        """What a base_url is set to."""
        path = self._style.path.removesuffix("/chat/completions").removesuffix("/v1/messages")
        return f"http://127.0.0.1:{self.port}{path}"

    @property
    def environ(self) -> dict[str, str]:
        return {KEY_NAMES[self.provider]: self.key}

    def spec(self, **changes: Any) -> JudgeSpec:
        """Of a judge that is this server."""
        given: dict[str, Any] = {
            "provider": "openai" if self.provider == "local" else self.provider,
            "model": MODELS[self.provider],
            "system_prompt": "You grade. Answer in JSON.",
            "scoring_prompt": "{prompt} {response}",
            "base_url": self.url,
        }
        return JudgeSpec(**{**given, **changes})

    def most_within(self, seconds: float) -> int:
        """The most requests that arrived in any such while."""
        times, first, most = [seen.at for seen in self.requests], 0, 0
        for last, at in enumerate(times):
            while at - times[first] >= seconds:
                first += 1
            most = max(most, last - first + 1)
        return most

    def down(self) -> None:
        """Refuses connections and drops those it has."""
        self._run(self._down())

    def up(self) -> None:
        self._run(self._up())

    def __enter__(self) -> "JudgeServer":
        self._thread.start()
        self._run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    # -- in the server's own loop

    async def _start(self) -> None:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/{path:.*}", self._handle)
        # a client that goes away ends its request here, as it does at a provider
        self._runner = web.AppRunner(
            app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1
        )
        await self._runner.setup()
        await self._up()

    async def _up(self) -> None:
        self._site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await self._site.start()
        self.port = self._runner.addresses[0][1]

    async def _down(self) -> None:
        assert self._runner.server is not None
        await self._site.stop()
        for connection in list(self._runner.server.connections):
            if connection.transport is not None:
                connection.transport.abort()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        seen = Seen(time.monotonic(), dict(request.headers), await request.json())
        number = len(self.requests)
        self.requests.append(seen)
        self._in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self._in_flight)
        try:
            return await self._respond(request, seen, number)
        finally:
            self._in_flight -= 1  # before its bytes leave: who has the answer may ask again

    def _fault(self, number: int) -> Fault | None:
        if callable(self._faults):
            return self._faults(number)
        return self._faults[number] if number < len(self._faults) else None

    def _refusal(self, request: web.Request, body: dict[str, Any]) -> Fault | None:
        if request.path != self._style.path:
            return Fault(404, "not_found", "Not Found")
        for name in self._refuses:
            if name in body:
                return Fault(400, "bad_request", f"Extra inputs are not permitted: {name}")
        said = self._style.refusal(request.headers, body, self.key)
        if said is None and self._models is not None and body["model"] not in self._models:
            return Fault(404, "model_not_found", f"The model {body['model']} does not exist")
        return said

    async def _respond(self, request: web.Request, seen: Seen, number: int) -> web.StreamResponse:
        refused = self._refusal(request, seen.body)
        fault = refused or self._fault(number) or Fault()
        await asyncio.sleep(3600 if fault.how == "hang" else self._latency_s + fault.delay_s)
        self.counters[self._named(fault, refused)] += 1
        if fault.status != 200:
            error = self._style.error(fault)
            return web.json_response(error, status=fault.status, headers=fault.headers)
        if fault.body is not None:
            return web.json_response(fault.body)
        said = _verdict(self._judge(seen.prompt)) if fault.text is None else fault.text
        text = json.dumps(self._style.answer(seen.body["model"], said, fault.finish))
        if fault.how == "answer":
            return web.Response(text=text, content_type="application/json")
        return await self._broken(request, text, fault.how)

    def _named(self, fault: Fault, refused: Fault | None) -> str:
        if refused:
            return "refused"
        return "answered" if fault == Fault() else "failed"

    async def _broken(self, request: web.Request, text: str, how: str) -> web.StreamResponse:
        half = text[: len(text) // 2]
        if how == "truncated":
            return web.Response(text=half, content_type="application/json")
        response = web.StreamResponse(headers={"Content-Length": str(len(text))})
        if how == "cut":
            await response.prepare(request)
            await response.write(half.encode())
        assert request.transport is not None
        request.transport.abort()
        return response


def _write(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_text(text)
    part.replace(path)


def _summary(server: JudgeServer, minute_s: float) -> str:
    most = {"max_in_flight": server.max_in_flight, "max_per_minute": server.most_within(minute_s)}
    return json.dumps({**server.counters, "requests": len(server.requests), **most})


def _load(spec: str) -> Callable[[str], Any]:
    module, _, name = spec.partition(":")
    return getattr(importlib.import_module(module), name)


def _serve(server: JudgeServer, args: argparse.Namespace, over: threading.Event) -> None:
    """Keeps the counters' file, and the server's hours, until it is over."""
    down_at, written = None, 0.0
    while not over.wait(0.02):
        now = time.monotonic()
        if down_at is None and args.down_for_s and len(server.requests) >= args.down_from_request:
            down_at = now
            server.down()
        if (
            down_at is not None
            and not server.counters["down_s"]
            and now >= down_at + args.down_for_s
        ):
            server.up()
            server.counters["down_s"] = round(time.monotonic() - down_at)
        if args.counters and now - written > 0.5:
            written = now
            _write(args.counters, _summary(server, args.minute_s))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--provider", choices=list(STYLES), default="openai")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--port-file", type=Path, help="written when it listens")
    parser.add_argument("--counters", type=Path, help="a JSON file, renewed twice a second")
    parser.add_argument("--judge", help="module:function, text of the prompt -> score; default: 7")
    parser.add_argument("--key", default=KEY)
    parser.add_argument("--latency-s", type=float, default=0.0)
    parser.add_argument("--minute-s", type=float, default=60.0, help="for max_per_minute")
    parser.add_argument("--fail-share", type=float, default=0.0)
    parser.add_argument("--down-from-request", type=int, default=0)
    parser.add_argument("--down-for-s", type=float, default=0.0)
    args = parser.parse_args()
    over = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: over.set())
    judge = _load(args.judge) if args.judge else lambda prompt: 7
    faults = share(args.fail_share)
    options: dict[str, Any] = {"latency_s": args.latency_s, "key": args.key, "port": args.port}
    with JudgeServer(args.provider, judge, faults, **options) as server:
        if args.port_file:
            _write(args.port_file, str(server.port))
        _serve(server, args, over)
        if args.counters:
            _write(args.counters, _summary(server, args.minute_s))


if __name__ == "__main__":
    main()
