"""Our part of vLLM's server: whole responses, many in a call, to the client that asked."""

import asyncio
import inspect
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from vllm import SamplingParams
from vllm.sampling_params import RequestOutputKind

from tests.vllm_servers import Server, vLLMHttpServer, without_vllm

rollout_server = sys.modules[Server.__module__]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """verl's part answers with what it was asked for."""

    async def generate(
        self: Server, prompt_ids: list[int], sampling_params: dict, request_id: str, **named: Any
    ) -> Any:
        await asyncio.sleep(0)
        if not prompt_ids:
            raise ValueError("a prompt without tokens")
        return prompt_ids, sampling_params, named

    without_vllm(monkeypatch)
    monkeypatch.setattr(vLLMHttpServer, "generate", generate)
    return Server()


def request(name: str, *prompt: int, **sampling: Any) -> dict[str, Any]:
    return {"request_id": name, "prompt_ids": list(prompt), "sampling_params": sampling}


def answered(server: Server, *requests: dict[str, Any]) -> dict[str, Any]:
    async def scene() -> dict[str, Any]:
        await server.submit("client", list(requests))
        found: list[tuple[str, Any]] = []
        while len(found) < len(requests):
            found += await server.answers("client")
        assert not server.tasks
        return dict(found)

    return asyncio.run(asyncio.wait_for(scene(), 30))


def test_a_response_comes_whole_and_is_not_decoded(server: Server) -> None:
    sampling = {"temperature": 0.7, "logprobs": 0}
    found = answered(server, request("1", 5, **sampling), request("2", 5, stop=["\n"]))
    prompt, first, _ = found["1"]
    assert prompt == [5] and first.items() >= sampling.items()
    assert first["detokenize"] is False
    assert found["2"][1]["detokenize"] is True  # vLLM looks for a text to stop at
    for _, parameters, _ in found.values():
        assert SamplingParams(**parameters).output_kind == RequestOutputKind.FINAL_ONLY


def test_what_the_caller_asks_for_himself_stays(server: Server) -> None:
    _, parameters, named = answered(
        server, {**request("1", 5, detokenize=True), "image_data": None, "priority": 3}
    )["1"]
    assert parameters["detokenize"] is True
    assert named == {"image_data": None, "priority": 3}


def test_a_request_that_fails_is_answered_with_its_exception(server: Server) -> None:
    found = answered(server, request("good", 5), request("bad"), request("fine", 6))
    assert [found["good"][0], found["fine"][0]] == [[5], [6]]
    assert isinstance(found["bad"], ValueError) and "without tokens" in str(found["bad"])


def test_answers_that_are_there_come_in_one_call(server: Server) -> None:
    async def scene() -> int:
        await server.submit("client", [request(str(i), 5) for i in range(50)])
        return len(await server.answers("client"))

    assert asyncio.run(scene()) == 50


def test_a_clients_answers_wait_for_it_alone(server: Server) -> None:
    async def scene() -> None:
        await server.submit("a", [request("1", 5)])
        await server.submit("b", [request("2", 6)])
        assert [name for name, _ in await server.answers("b")] == ["2"]
        assert [name for name, _ in await server.answers("a")] == ["1"]

    asyncio.run(scene())


def test_verls_server_takes_what_ours_hands_on() -> None:
    parameters = inspect.signature(vLLMHttpServer.generate).parameters
    assert list(parameters)[1:4] == ["prompt_ids", "sampling_params", "request_id"]


def test_a_server_whose_engine_was_killed_ends_too(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights sent to it would be waited for without end."""
    ended: list[int] = []

    async def launch(self: Server) -> None:
        self.engine, self.node_rank = SimpleNamespace(errored=False), 0

    async def scene() -> None:
        await server.launch_server()
        await asyncio.sleep(0.05)
        assert not ended and not server.watch.done()
        server.engine.errored = True
        await server.watch

    monkeypatch.setattr(vLLMHttpServer, "launch_server", launch)
    monkeypatch.setattr(rollout_server, "POLL_S", 0.01)
    monkeypatch.setattr(rollout_server, "LAST_WORDS_S", 0.01)
    monkeypatch.setattr(rollout_server.os, "_exit", ended.append)
    asyncio.run(asyncio.wait_for(scene(), 30))
    assert ended == [1]


def test_what_vllm_refuses_ends_the_server_with_its_words(
    server: Server, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    class Ended(Exception):
        pass

    async def refuse(self: Server, method: str, *_: Any, **__: Any) -> None:
        if method == "update_weights_from_ipc":
            raise RuntimeError("start (0) + length (256) exceeds dimension size (128).")

    def end(code: int) -> None:
        raise Ended(code)

    monkeypatch.setattr(vLLMHttpServer, "collective_rpc", refuse)
    monkeypatch.setattr(rollout_server, "LAST_WORDS_S", 0.0)
    monkeypatch.setattr(rollout_server.os, "_exit", end)
    asyncio.run(server.collective_rpc("sleep"))
    with pytest.raises(Ended):
        asyncio.run(server.collective_rpc("update_weights_from_ipc"))
    said = "vLLM refused update_weights_from_ipc: RuntimeError: start (0) + length (256)"
    assert said in capfd.readouterr().err
