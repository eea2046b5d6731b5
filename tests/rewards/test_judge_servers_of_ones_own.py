"""Servers of one's own: thoughts in odd places, no system role, no hold on the form."""

import asyncio
import json
from typing import Any

import pytest

from rewards.judge import client as client_module
from rewards.judge.ask import Answer
from rewards.judge.judge import Judge
from rewards.judge.settings import judge_spec
from rewards.part import Failure
from tests.judge_servers import Fault, JudgeServer
from tests.rewards.test_judge_client import ASK, ask_once, with_client
from tests.rewards.test_judge_part import Scripted, row

GOOD = '{"reason": "because", "score": 9}'
DRAFT = f"Perhaps {GOOD}, but then"


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "FIRST_WAIT_S", 0.01)


def scored(answer: Answer, **settings: Any) -> float | Failure:
    spec = judge_spec({"api_type": "openai", "model": "tiny", **settings})
    judge = Judge(spec, client=Scripted(lambda ask, turn: answer))  # type: ignore[arg-type]

    async def run() -> float | Failure:
        try:
            return (await judge.score(row()))["judge_raw"]
        except Failure as failure:
            return failure

    return asyncio.run(run())


def told(name: str, thought: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": None, name: thought}
    return {"choices": [{"message": message, "finish_reason": "stop"}]}


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
@pytest.mark.parametrize("thought", [GOOD, f"{DRAFT}</think>{GOOD}"])
def test_a_verdict_that_a_server_calls_reasoning_is_read(name: str, thought: str) -> None:
    with JudgeServer("local", faults=[Fault(body=told(name, thought))]) as server:
        assert scored(ask_once(server)) == 9


def test_a_draft_in_a_thought_is_no_verdict_and_the_cause_is_named() -> None:
    with JudgeServer("local", faults=[Fault(body=told("reasoning", DRAFT))]) as server:
        failure = scored(ask_once(server))
    assert isinstance(failure, Failure) and "reasoning parser" in failure.reason
    assert "thinking: off" in failure.reason


def test_thinking_is_switched_off_by_a_setting_at_servers_of_ones_own() -> None:
    with JudgeServer("local") as server:
        failed = with_client(server, lambda client: client.ask(ASK), thinking=False)
    # a strict server refuses the field once, and the client goes on without it
    first, second = (seen.body for seen in server.requests)
    assert first["chat_template_kwargs"] == {"enable_thinking": False, "thinking": False}
    assert "chat_template_kwargs" not in second and failed.finish == "stop"


def test_without_the_setting_nothing_is_sent_that_a_server_may_not_know() -> None:
    with JudgeServer("local") as server:
        ask_once(server)
    assert "chat_template_kwargs" not in server.requests[0].body


REFUSALS = [
    ("local", 400, "System role not supported"),
    ("local", 500, "System role not supported"),
    ("local", 400, "Conversation roles must alternate user/assistant/user/assistant/..."),
    ("local", 500, "Only user and assistant roles are supported!"),
    ("local", 422, "Template error: invalid operation: conversation roles must alternate"),
    ("local", 400, "bad request"),
    ("openai", 400, "Unsupported value: 'messages[0].role' does not support 'system' here"),
    ("gemini", 400, "Developer instruction is not enabled for models/gemma-3-27b-it"),
    ("claude", 400, "This model has no system prompt"),
]


@pytest.mark.parametrize(("provider", "status", "words"), REFUSALS)
def test_without_a_system_role_its_words_go_in_front_of_the_question(
    provider: str, status: int, words: str
) -> None:
    def refuses(number: int) -> Fault | None:
        body = server.requests[number].body
        roles = [message["role"] for message in body["messages"]]
        return Fault(status, message=words) if "system" in (*roles, *body) else None

    async def work(client: Any) -> list[str]:
        for _ in range(2):
            assert (await client.ask(ASK)).finish == "stop"
        return client.notes

    with JudgeServer(provider, faults=refuses) as server:
        notes = with_client(server, work)
    (message,) = server.requests[-1].body["messages"]
    assert message == {"role": "user", "content": f"{ASK.system}\n\n{ASK.user}"}
    assert len([note for note in notes if "no system role" in note]) == 1
    assert len(server.requests) <= 4


def test_a_server_in_trouble_keeps_its_system_role() -> None:
    with JudgeServer("local", faults=[Fault(500, message="file system is full")]) as server:
        ask_once(server)
    assert server.requests[-1].body["messages"][0]["role"] == "system"


@pytest.mark.parametrize("said", ['{"reason": "a", "score": 9.0}', '{"score": "9"}'])
def test_a_score_of_another_form_counts_by_a_setting(said: str) -> None:
    assert scored(Answer(said, "stop"), lenient=True) == 9
    assert isinstance(scored(Answer(said, "stop")), Failure)


@pytest.mark.parametrize("setting", [{"thinking": "on"}, {"thinking": True}, {"lenient": "yes"}])
def test_a_setting_of_another_type_is_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=next(iter(setting))):
        judge_spec({"api_type": "openai", "model": "m", **setting})


def test_off_is_a_word_of_the_setting() -> None:
    assert json.dumps(judge_spec({"api_type": "openai", "thinking": "off"}).thinking) == "false"
