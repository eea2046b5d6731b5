"""Many requests in a call: every answer and every failure reaches the one that asked for it.

The server is ours without vLLM behind it, called as Ray calls an actor: `method.remote(...)`.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, RayError
from verl.workers.rollout.replica import TokenOutput

from tests.vllm_servers import Server, without_vllm
from verlaunch.engine.rollout.batched_client import DirectClient, Line

CONFIG = SimpleNamespace(
    actor_rollout_ref=SimpleNamespace(rollout=SimpleNamespace(name="vllm", full_determinism=False)),
    trainer=SimpleNamespace(rollout_trace=None),
)


@pytest.fixture(autouse=True)
def no_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    without_vllm(monkeypatch)


class Echo(Server):
    """Answers with the prompt, as many turns of the event loop later as its first token says; with
    `held` not before `let_go`."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[list[int]] = []
        self.let_go = asyncio.Event()

    async def generate(
        self, prompt_ids: list[int], sampling_params: dict[str, Any], request_id: str, **_: Any
    ) -> TokenOutput:
        self.asked.append(prompt_ids)
        for _ in range(prompt_ids[0]):
            await asyncio.sleep(0)
        if "held" in sampling_params:
            await self.let_go.wait()
        if "fail" in sampling_params:
            raise ValueError(f"no {prompt_ids}")
        return TokenOutput(token_ids=prompt_ids)


class Method:
    """What Ray has for a method of an actor; counts its calls."""

    def __init__(self, method: Callable[..., Awaitable]) -> None:
        self.method = method
        self.calls = 0

    def remote(self, *arguments: Any) -> Awaitable:
        self.calls += 1
        return self.method(*arguments)


class Handle:
    """Of an actor that lives in this process, until it dies."""

    def __init__(self, server: Server) -> None:
        self.submit = Method(self._alive(server.submit))
        self.answers = Method(self._alive(server.answers))
        self.died = asyncio.Event()

    def _alive(self, method: Callable[..., Awaitable]) -> Callable[..., Awaitable]:
        async def call(*arguments: Any) -> Any:
            running = asyncio.ensure_future(method(*arguments))
            dead = asyncio.ensure_future(self.died.wait())
            await asyncio.wait({running, dead}, return_when=asyncio.FIRST_COMPLETED)
            if self.died.is_set():
                raise ActorDiedError
            return running.result()

        return call


def ask(line: Line, *prompt: int, **sampling: Any) -> asyncio.Future:
    name = f"request {prompt}"
    return line.remote(request_id=name, prompt_ids=list(prompt), sampling_params=sampling)


def run(scene: Callable[[], Awaitable]) -> None:
    assert inspect.iscoroutinefunction(scene)
    asyncio.run(asyncio.wait_for(scene(), 30))


def test_what_is_asked_for_together_is_one_call() -> None:
    async def scene() -> None:
        handle = Handle(Echo())
        line = Line(handle)
        outputs = await asyncio.gather(*[ask(line, 0, i) for i in range(100)])
        assert [output.token_ids for output in outputs] == [[0, i] for i in range(100)]
        assert handle.submit.calls == 1
        assert handle.answers.calls < 10

    run(scene)


def test_answers_find_their_callers_in_whatever_order_they_come() -> None:
    async def scene() -> None:
        line = Line(Handle(Echo()))
        turns = [(7 * i) % 20 for i in range(20)]
        futures = [ask(line, turn) for turn in turns]
        assert [(await future).token_ids for future in futures] == [[turn] for turn in turns]

    run(scene)


def test_requests_that_come_later_are_sent_too() -> None:
    async def scene() -> None:
        server = Echo()
        line = Line(Handle(server))
        slow = ask(line, 5, held=True)
        await asyncio.sleep(0)
        quick = ask(line, 1)
        assert (await quick).token_ids == [1]
        assert not slow.done()
        server.let_go.set()
        assert (await slow).token_ids == [5]
        assert (await ask(line, 2)).token_ids == [2]  # after nobody was waiting
        assert server.asked == [[5], [1], [2]]

    run(scene)


def test_an_exception_reaches_its_caller_and_nobody_else() -> None:
    async def scene() -> None:
        line = Line(Handle(Echo()))
        found = await asyncio.gather(
            ask(line, 0), ask(line, 1, fail=True), ask(line, 2), return_exceptions=True
        )
        assert [type(one) for one in found] == [TokenOutput, ValueError, TokenOutput]
        assert str(found[1]) == "no [1]"

    run(scene)


def test_a_server_that_dies_fails_all_that_wait_for_it() -> None:
    async def scene() -> None:
        handle = Handle(Echo())
        line = Line(handle)
        futures = [ask(line, i, held=True) for i in range(3)]
        await asyncio.sleep(0.01)
        handle.died.set()
        found = await asyncio.gather(*futures, return_exceptions=True)
        assert {type(one) for one in found} == {ActorDiedError}
        with pytest.raises(ActorDiedError):  # and those that come after
            await ask(line, 1)
        assert line.waiting == {}

    run(scene)


def test_an_answer_that_comes_after_its_failure_stops_no_other() -> None:
    async def scene() -> None:
        server = Echo()
        line = Line(Handle(server))
        failed, cancelled = ask(line, 1, held=True), ask(line, 2, held=True)
        await asyncio.sleep(0.01)
        cancelled.cancel()
        line._fail(RayError("for a moment"))
        again = ask(line, 3, held=True)
        server.let_go.set()
        assert (await again).token_ids == [3]
        with pytest.raises(RayError, match="for a moment"):
            await failed

    run(scene)


def test_each_client_gets_its_own_answers() -> None:
    async def scene() -> None:
        handle = Handle(Echo())
        lines = Line(handle), Line(handle)
        futures = [ask(line, 5 - i, i) for i in range(5) for line in lines]
        assert [(await future).token_ids for future in futures] == [
            [5 - i, i] for i in range(5) for _ in lines
        ]

    run(scene)


def test_requests_go_to_the_server_with_the_fewest_in_flight() -> None:
    async def scene() -> None:
        servers = Echo(), Echo(), Echo()
        handles = {str(i): Handle(server) for i, server in enumerate(servers)}
        client = DirectClient(CONFIG, None, handles)
        outputs = await asyncio.gather(
            *[client.generate(str(i), prompt_ids=[0, i], sampling_params={}) for i in range(30)]
        )
        assert [output.token_ids for output in outputs] == [[0, i] for i in range(30)]
        assert [len(server.asked) for server in servers] == [10, 10, 10]
        assert set(client.in_flight.values()) == {0}
        with pytest.raises(ValueError, match="no"):
            await client.generate("x", prompt_ids=[0], sampling_params={"fail": True})
        assert set(client.in_flight.values()) == {0}

    run(scene)
