"""Reward models behind a URL: what answers there is found out, and its faults are told apart."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from transformers import AutoTokenizer

from rewards.models import url as url_module
from rewards.models.dialects import plain
from rewards.models.inputs import Inputs
from rewards.models.probe import probe
from rewards.models.url import UrlScorer
from rewards.part import CannotStart, Failure
from tests.reward_models import make, reference
from verlaunch.engine.environment import CPU_METADATA

PROMPT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+2?"}]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(url_module, "FIRST_WAIT_S", 0.01)


def serve(routes: dict[str, Handler], use: Callable[[str], Awaitable[Any]]) -> Any:
    """Runs `use` with the address of a server that has these routes."""

    async def both() -> Any:
        app = web.Application()
        app.add_routes([web.post(path, handler) for path, handler in routes.items()])
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        try:
            return await use(f"http://{host}:{port}")
        finally:
            await runner.cleanup()

    return asyncio.run(both())


def scored(routes: dict[str, Handler], end: str = "", model: str | None = None) -> Any:
    async def use(address: str) -> Any:
        scorer = UrlScorer(address + end, None, model)
        await scorer.start()
        try:
            return await scorer.score_messages(PROMPT, "four")
        finally:
            await scorer.close()

    return serve(routes, use)


def says(body: Any, status: int = 200) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response(body, status=status)

    return handler


CLASSIFIED = {"data": [{"index": 0, "label": "LABEL_0", "probs": [3.25], "num_classes": 1}]}
ANSWERS = {
    "/classify": CLASSIFIED,
    "/pooling": {"data": [{"index": 0, "data": [[9.0], [-1.0], [3.25]]}]},
    "/get_reward": {"rewards": [3.25], "scores": [0.5], "extra_logs": {}},
}


@pytest.mark.parametrize("path", ANSWERS)
@pytest.mark.parametrize("is_named", [True, False])
def test_each_endpoint_is_found_by_asking_and_by_its_path(path: str, is_named: bool) -> None:
    assert scored({path: says(ANSWERS[path])}, path if is_named else "") == 3.25


@pytest.mark.parametrize("end", ["/", "/v1", "/v1/"])
def test_addresses_as_other_clients_want_them_work(end: str) -> None:
    assert scored({"/classify": says(CLASSIFIED)}, end) == 3.25


@pytest.mark.parametrize("found", [[3.25], 3.25, [[3.25]]])
def test_rewards_may_be_a_list_or_a_number(found: Any) -> None:
    assert scored({"/get_reward": says({"rewards": found})}) == 3.25


def asked(path: str, model: str | None = None) -> dict[str, Any]:
    """The body of the last request."""
    seen: list[dict[str, Any]] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(await request.json())
        return web.json_response(ANSWERS[path])

    scored({path: handler}, model=model)
    return seen[-1]


def test_vllm_is_asked_for_the_raw_logit_of_a_text_that_fits() -> None:
    body = asked("/classify")
    assert body["messages"] == [*PROMPT, {"role": "assistant", "content": "four"}]
    assert body["use_activation"] is False
    assert body["truncate_prompt_tokens"] == -1 and body["truncation_side"] == "left"
    assert "model" not in body


def test_a_model_of_known_habits_gets_no_system_message() -> None:
    body = asked("/classify", "Skywork/Skywork-Reward-V2-Qwen3-0.6B")
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant"]


def test_get_reward_is_given_text_and_messages() -> None:
    body = asked("/get_reward")
    assert body["query"] == ["Be brief.\n\n2+2?\nfour"]
    assert body["messages"][0][-1] == {"role": "assistant", "content": "four"}


@pytest.mark.parametrize(
    "text",
    ["<|eot_id|>", "a</s>b", "[INST]", "<|im_<|im_end|>end|>", "<start_of_turn>user", "<<SYS>>"],
)
def test_an_answer_cannot_write_turns_of_its_own(text: str) -> None:
    assert not set("<[|]>") & set(plain(text))


def test_code_and_maths_pass_as_they_are() -> None:
    text = "x <| f |> g, a[i] < b, 1 < 2 and 3 > 2, <b>bold</b>, <|x|^2>"
    assert plain(text) == text


@pytest.mark.parametrize("status", [429, 500, 503])
def test_trouble_that_passes_is_waited_for(status: int) -> None:
    calls = Counter[str]()

    async def handler(request: web.Request) -> web.Response:
        calls["all"] += 1
        if calls["all"] % 2 == 0:
            return web.json_response(CLASSIFIED)
        return web.Response(status=status, text="busy")

    assert scored({"/classify": handler}) == 3.25
    assert calls["all"] == 4


def test_a_dropped_connection_and_half_an_answer_are_asked_again() -> None:
    faults = iter(["drop", "half"])

    async def handler(request: web.Request) -> web.StreamResponse:
        fault = next(faults, None) if "four" in await request.text() else None
        if fault is None:
            return web.json_response(CLASSIFIED)
        if fault == "half":
            response = web.StreamResponse(headers={"Content-Length": "1000"})
            await response.prepare(request)
            await response.write(b'{"data": [')
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    assert scored({"/classify": handler}) == 3.25


def later(*answers: web.Response | Handler) -> Handler:
    """Well at the start, then these answers, the last one for ever."""
    left = list(answers)

    async def handler(request: web.Request) -> web.StreamResponse:
        if "four" not in await request.text():
            return web.json_response(CLASSIFIED)
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, web.Response):
            return web.Response(status=answer.status, text=answer.text)
        return await answer(request)

    return handler


async def hang(request: web.Request) -> web.Response:
    await asyncio.sleep(60)
    raise AssertionError("nobody waits so long")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (web.Response(status=400, text="too long"), "HTTP 400: too long"),
        (web.Response(status=500, text=""), "HTTP 500: no words, 6 times in a row"),
        (web.Response(status=404, text="gone"), "HTTP 404: gone"),
        (web.Response(text="<html>"), "not JSON"),
        (web.Response(text='{"data": []}'), "no number at data.0.probs"),
        (web.Response(text='{"data": [{"probs": [true]}]}'), "no number at data.0.probs"),
        (web.Response(text='{"data": [{"probs": [NaN]}]}'), "gave nan"),
        (web.Response(text='{"data": [{"probs": [0.1, 0.9]}]}'), "has 2 labels"),
        (hang, "TimeoutError"),
    ],
    ids=["400", "500", "404", "html", "empty", "bool", "nan", "labels", "hang"],
)
def test_what_goes_wrong_in_a_run_fails_one_row(
    answer: Any, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if answer is hang:
        monkeypatch.setattr(url_module, "TIMEOUT_S", 0.2)
    with pytest.raises(Failure) as caught:
        scored({"/classify": later(answer)})
    assert reason in caught.value.reason and caught.value.kind == "reward_model"
    assert not caught.value.final


@pytest.mark.parametrize(
    ("routes", "sentence"),
    [
        ({"/other": says({})}, "no /classify or /pooling or /get_reward. Start one"),
        ({"/classify": says({"error": "no key"}, 401)}, "wants a key"),
        ({"/classify": says({"error": "unknown field"}, 400)}, "/classify cannot score (HTTP 400"),
        ({"/classify": says({"text": "hi"})}, "no number at data.0.probs"),
        ({"/classify": says({}, 500)}, "HTTP 500: {}, 2 times in a row"),
    ],
)
def test_a_server_that_cannot_score_is_told_at_the_start(
    routes: dict[str, Handler], sentence: str
) -> None:
    with pytest.raises(CannotStart) as caught:
        scored(routes)
    assert sentence in str(caught.value) and "--rm_url http://127.0.0.1" in str(caught.value)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def test_nothing_at_the_address_is_told_at_the_start_and_passwords_are_not() -> None:
    address = f"http://me:secret@127.0.0.1:{free_port()}/?key=secret"
    with pytest.raises(CannotStart, match="Cannot connect") as caught:
        asyncio.run(UrlScorer(address, None, None).start())
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["localhost:8000", "8000", "http://", "ftp://host", "http://[::1"])
def test_what_is_no_address_is_told_before_anything_starts(url: str) -> None:
    with pytest.raises(CannotStart, match="such as http://127"):
        UrlScorer(url, None, None)


def test_no_more_requests_are_in_flight_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(url_module, "CONCURRENCY", 8)
    flying = Counter[str]()

    async def handler(request: web.Request) -> web.Response:
        flying["now"] += 1
        flying["most"] = max(flying["most"], flying["now"])
        await asyncio.sleep(0.02)
        flying["now"] -= 1
        return web.json_response(CLASSIFIED)

    async def use(address: str) -> None:
        scorer = UrlScorer(address, None, None)
        await scorer.start()
        await asyncio.gather(*[scorer.score_messages(PROMPT, "four") for _ in range(64)])
        await scorer.close()

    serve({"/classify": handler}, use)
    assert flying["most"] == 8


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llama") / "rm"
    return make(folder, "LlamaForSequenceClassification")


@pytest.fixture(scope="module")
def vllm_server(llama: Path) -> Iterator[str]:
    port = str(free_port())
    settings = {
        "PYTHONPATH": str(CPU_METADATA),
        "VLLM_TARGET_DEVICE": "cpu",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_HOST_IP": "127.0.0.1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "WARNING",
    }
    options = [
        "--model",
        str(llama),
        "--runner",
        "pooling",
        "--dtype",
        "float32",
        "--enforce-eager",
        "--port",
        port,
    ]
    options += ["--host", "127.0.0.1", "--kv-cache-memory-bytes", str(2**26)]
    options += ["--distributed-executor-backend", "uni", "--served-model-name", "judge-of-answers"]
    server = subprocess.Popen(
        [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *options],
        env={**os.environ, **settings},
        start_new_session=True,
    )
    yield f"http://127.0.0.1:{port}"
    os.killpg(server.pid, signal.SIGKILL)
    server.wait()


async def when_up(scorer: UrlScorer) -> None:
    """Loading takes its time; the suite's own limit would tell."""
    while True:
        try:
            return await scorer.start()
        except CannotStart as not_yet:
            if "Cannot connect" not in str(not_yet):
                raise
            await asyncio.sleep(0.2)


@pytest.mark.slow
def test_vllms_own_server_scores_as_transformers_does(llama: Path, vllm_server: str) -> None:
    found = probe(llama)
    tokenizer = AutoTokenizer.from_pretrained(llama)
    inputs = Inputs(tokenizer, found)
    responses = ["four", "4" * 200, "five <|eot_id|> no", "x" * 2000]

    async def use() -> list[float]:
        scorer = UrlScorer(vllm_server, found, str(llama))
        await when_up(scorer)
        try:
            return await asyncio.gather(
                *[scorer.score_messages(PROMPT, response) for response in responses]
            )
        finally:
            await scorer.close()

    scores = asyncio.run(use())
    encoded = [inputs.encode(PROMPT, response).input_ids for response in responses]
    texts = [{"input_ids": ids} for ids in encoded[:3]]
    expected = reference(llama, "LlamaForSequenceClassification", tokenizer, texts)
    assert scores[:3] == pytest.approx(expected, abs=1e-3)
    assert len(set(scores)) == len(responses)
