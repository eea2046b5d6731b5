"""How rollout workers ask vLLM's servers: many requests in a call.

    client = DirectClient(config, None, {"10.0.0.1:8000": server_handle})
    output = await client.generate(request_id, prompt_ids=[...], sampling_params={...})

verl's client pays a Ray call for each response, and three more to a load balancer. This one knows
the servers, takes the one with the fewest of its requests in flight, and sends together what is
asked in the same turn of the event loop.
"""

import asyncio
import uuid
from typing import Any

from ray.exceptions import RayError
from verl.workers.rollout.llm_server import LLMServerClient

CONVERSATIONS = 10_000  # whose server is remembered


class Line:
    """To one server. Looks like a server's handle to verl's client: `line.generate.remote(...)`."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.name = uuid.uuid4().hex
        self.waiting: dict[str, asyncio.Future] = {}
        self.unsent: list[dict[str, Any]] = []
        self.sender: asyncio.Task | None = None
        self.reader: asyncio.Task | None = None

    @property
    def generate(self) -> "Line":
        return self

    def remote(self, **request: Any) -> asyncio.Future:
        """Resolves to a TokenOutput, or raises what the server's `generate` raised."""
        self.unsent.append(request)
        answer = asyncio.get_running_loop().create_future()
        self.waiting[request["request_id"]] = answer
        if self.sender is None or self.sender.done():
            self.sender = asyncio.create_task(self._send())
        return answer

    async def _send(self) -> None:
        await asyncio.sleep(0)  # all that were asked for in this turn
        while self.unsent:
            requests, self.unsent = self.unsent, []
            try:
                await self.server.submit.remote(self.name, requests)
            except RayError as error:
                self._fail(error)
        if self.waiting and (self.reader is None or self.reader.done()):
            self.reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while self.waiting:
            try:
                answers = await self.server.answers.remote(self.name)
            except RayError as error:
                self._fail(error)
                return
            for name, answer in answers:
                future = self.waiting.pop(name, None)
                if future is None or future.done():  # it failed before, or nobody waits any more
                    continue
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)

    def _fail(self, error: Exception) -> None:
        waiting, self.waiting = self.waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(error)


class DirectClient(LLMServerClient):
    def __init__(self, config: Any, load_balancer_handle: Any, servers: dict[str, Any]) -> None:
        super().__init__(config, load_balancer_handle)
        self.servers = servers
        self.lines: dict[str, Line] = {}
        self.asked: dict[str, str] = {}  # the server of each conversation, the oldest first

    async def _acquire_server(self, request_id: str, **extra: Any) -> tuple[str, Any]:
        if not self.lines:  # here, since the client itself travels to where it is used
            self.lines = {name: Line(server) for name, server in self.servers.items()}
            self.in_flight = dict.fromkeys(self.lines, 0)
        # The turns of one conversation share vLLM's cache of what was said.
        server = self.asked.get(request_id) or min(self.in_flight, key=self.in_flight.__getitem__)
        self.asked[request_id] = server
        while len(self.asked) > CONVERSATIONS:
            del self.asked[next(iter(self.asked))]
        self.in_flight[server] += 1
        return server, self.lines[server]

    def _release_server(self, server_id: str, request_id: str | None = None) -> None:
        self.in_flight[server_id] -= 1
