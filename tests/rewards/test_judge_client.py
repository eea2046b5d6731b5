"""The judge's client against servers that are as strict as the providers they speak for."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from rewards.judge import client as client_module
from rewards.judge.ask import Answer, Ask
from rewards.judge.client import Client
from rewards.judge.costs import Tokens
from rewards.judge.providers import PROVIDERS
from rewards.part import Failure
from rewards.spec import JudgeSpec
from tests.judge_servers import KEY, TOKENS, Fault, JudgeServer, every

SCHEMA = {
    "type": "object",
    "properties": {
        "reason": {"type": "string"},
        "score": {"type": "integer", "enum": list(range(1, 11))},
    },
    "required": ["reason", "score"],
}
ASK = Ask("Grade. Answer in JSON.", "What is 6 * 7? They said 42.", SCHEMA, max_tokens=64)
ALL = ("openai", "local", "dashscope", "gemini", "claude")


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "FIRST_WAIT_S", 0.01)


def with_client(server: JudgeServer, work: Callable[[Client], Awaitable[Any]], **spec: Any) -> Any:
    """What `work` returns, given a client of that server."""

    async def run() -> Any:
        client = Client(server.spec(**spec), server.environ)
        try:
            return await work(client)
        finally:
            await client.close()

    return asyncio.run(run())


def ask_once(server: JudgeServer, **spec: Any) -> Answer:
    return with_client(server, lambda client: client.ask(ASK), **spec)


async def outcomes(client: Client, number: int) -> list[Answer | Failure]:
    """Of so many asks at once; anything but an answer or a Failure fails the test."""
    found = await asyncio.gather(*(client.ask(ASK) for _ in range(number)), return_exceptions=True)
    assert all(isinstance(one, Answer | Failure) for one in found), found
    return found  # type: ignore[return-value]


@pytest.mark.parametrize("provider", ALL)
def test_every_provider_accepts_what_is_sent_and_its_answer_is_read(provider: str) -> None:
    with JudgeServer(provider, judge=lambda prompt: 9 if "42" in prompt else 1) as server:
        answer = ask_once(server)
    assert '"score": 9' in answer.text and answer.finish == "stop"
    assert answer.tokens == Tokens(TOKENS["input"], TOKENS["output"])
    body = server.requests[-1].body
    assert ASK.system in server.requests[-1].prompt and ASK.user in server.requests[-1].prompt
    assert not body.keys() & {"temperature", "top_p", "seed", "logprobs", "store"}


def test_openai_itself_gets_its_newer_names_and_no_thinking(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with JudgeServer("openai") as server:
        monkeypatch.setitem(PROVIDERS, "openai", replace(PROVIDERS["openai"], base_url=server.url))
        ask_once(server, base_url=None)
    (seen,) = server.requests
    assert seen.body["max_completion_tokens"] == 64 and "max_tokens" not in seen.body
    assert seen.body["reasoning_effort"] == "none"
    assert seen.body["response_format"]["json_schema"]["strict"] is True


def test_older_openai_models_get_no_reasoning_effort(monkeypatch: pytest.MonkeyPatch) -> None:
    with JudgeServer("openai") as server:
        monkeypatch.setitem(PROVIDERS, "openai", replace(PROVIDERS["openai"], base_url=server.url))
        ask_once(server, base_url=None, model="gpt-4o-mini")
    assert len(server.requests) == 1 and "reasoning_effort" not in server.requests[0].body


def test_dashscope_gets_json_mode_without_thinking() -> None:
    with JudgeServer("dashscope") as server:
        ask_once(server)
    body = server.requests[0].body
    assert body["response_format"] == {"type": "json_object"}
    assert body["enable_thinking"] is False


def test_a_local_server_needs_no_key() -> None:
    with JudgeServer("local", key="none") as server:
        client = Client(server.spec(), {})
        assert asyncio.run(client.ask(ASK)).finish == "stop"


def test_a_server_that_refuses_structured_output_is_asked_without_it_from_then_on() -> None:
    async def twice(client: Client) -> list[str]:
        await client.ask(ASK)
        await client.ask(ASK)
        return client.notes

    with JudgeServer("local", refuses=["response_format"]) as server:
        notes = with_client(server, twice)
    given = ["response_format" in seen.body for seen in server.requests]
    assert given == [True, False, False]
    assert len(notes) == 1 and "response_format" in notes[0]


def test_many_that_learn_of_a_refused_field_at_once_all_get_their_answer() -> None:
    with JudgeServer("local", refuses=["response_format"], latency_s=0.02) as server:
        found = with_client(server, lambda client: outcomes(client, 16), concurrency=8)
    assert not [one for one in found if isinstance(one, Failure)]


def test_a_bare_bad_request_from_ones_own_server_is_tried_once_without_structured_output() -> None:
    with JudgeServer("local", faults=[Fault(400, message="Bad Request")]) as server:
        assert ask_once(server).finish == "stop"
    assert ["response_format" in seen.body for seen in server.requests] == [True, False]


def test_a_proxy_that_wants_the_other_name_of_the_token_limit_gets_it() -> None:
    with JudgeServer("openai") as server:  # at an address that is not OpenAI's
        ask_once(server)
    assert [("max_tokens" in seen.body) for seen in server.requests] == [True, False]
    assert server.requests[1].body["max_completion_tokens"] == 64


def test_a_model_that_always_thinks_is_asked_without_what_that_excludes() -> None:
    with JudgeServer("dashscope") as server:
        assert ask_once(server, model="qwen3-thinking").finish == "stop"
    last = server.requests[-1].body
    assert "enable_thinking" not in last and "response_format" not in last


def test_text_that_utf8_cannot_hold_is_still_sent() -> None:
    odd = replace(ASK, user="broken \ud800 half \x00 and 你好")
    with JudgeServer("local") as server:
        with_client(server, lambda client: client.ask(odd))
    assert "你好" in server.requests[0].prompt


@pytest.mark.parametrize(
    ("provider", "fault", "finish"),
    [
        ("openai", Fault(finish="length"), "length"),
        ("openai", Fault(finish="refusal", text="I can't help with that"), "refusal"),
        ("gemini", Fault(finish="content_filter: PROHIBITED_CONTENT"), "refusal"),
        ("dashscope", Fault(400, "data_inspection_failed", "inappropriate content"), "refusal"),
        ("claude", Fault(finish="refusal"), "refusal"),
        ("claude", Fault(finish="length"), "length"),
        ("claude", Fault(finish="model_context_window_exceeded"), "length"),
        ("local", Fault(text=""), "stop"),
    ],
)
def test_how_an_answer_ended_is_told(provider: str, fault: Fault, finish: str) -> None:
    faults = [None, fault] if provider == "openai" else [fault]  # its first only names the limit
    with JudgeServer(provider, faults=faults) as server:
        assert ask_once(server).finish == finish


def test_organisation_and_project_of_openai_are_told_to_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-mine")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-mine")
    with JudgeServer("dashscope") as server:
        ask_once(server)
    assert not [value for value in server.requests[0].headers.values() if "mine" in value]


def test_curves_count_what_happened() -> None:
    async def work(client: Client) -> dict[str, float]:
        await outcomes(client, 20)
        return client.curves()

    with JudgeServer("dashscope", faults=every(5, Fault(500)), latency_s=0.01) as server:
        curves = with_client(server, work, concurrency=4)
    failed = server.counters["failed"]
    assert curves["judge/calls"] == 20 and curves["judge/requests"] == len(server.requests)
    assert curves["judge/failed_requests"] == curves["judge/retries"] == failed > 0
    assert curves["judge/input_tokens"] == 20 * TOKENS["input"]
    assert curves["judge/cost_usd"] == pytest.approx(20 * (0.4 * 40 + 1.2 * 12) / 1e6)
    assert curves["judge/in_flight_max"] == server.max_in_flight == 4
    assert 0.01 <= curves["judge/latency_p50_s"] <= curves["judge/latency_p95_s"]


def test_the_cost_is_no_curve_where_the_price_is_not_known() -> None:
    spec = JudgeSpec("openai", "my-judge", "", "", base_url="http://127.0.0.1:1/v1")
    assert "judge/cost_usd" not in Client(spec, {}).curves()


def test_nothing_logged_holds_the_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with JudgeServer("local", faults=[Fault(500), Fault(how="reset")]) as server:
        ask_once(server)
    assert caplog.records and KEY not in caplog.text
