"""An error inside status 200 means what the same error would mean as a status."""

from typing import Any

import pytest

from rewards.judge import client as client_module
from rewards.judge.client import Client
from rewards.judge.endpoint import find_endpoint
from rewards.judge.failed_requests import read_inner
from rewards.part import Failure
from rewards.spec import JudgeSpec
from tests.judge_servers import Fault, JudgeServer
from tests.rewards.test_judge_client import ask_once, outcomes, with_client

SPEC = JudgeSpec("openai", "m", "", "", base_url="http://127.0.0.1:9/v1")


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "FIRST_WAIT_S", 0.01)


@pytest.mark.parametrize(
    ("body", "kind", "busy"),
    [
        ({"error": {"code": 402, "message": "Insufficient credits"}}, "fatal", False),
        ({"error": {"code": "429", "message": "slow down"}}, "transient", True),
        ({"error": {"code": 503, "message": "no instances"}}, "transient", True),
        ({"error": "rate limit reached", "code": None}, "transient", True),
        ({"error": {"message": "x", "type": "overloaded_error"}, "type": "error"}, "transient", 1),
        ({"error": {"message": "x", "type": "authentication_error"}}, "fatal", False),
        ({"error": {"message": "x", "type": "invalid_request_error"}}, "rejected", False),
        ({"error": {"code": None, "message": "odd"}}, "transient", False),
        (
            [{"error": {"code": 429, "message": "x", "status": "RESOURCE_EXHAUSTED"}}],
            "transient",
            1,
        ),
        ({"object": "error", "message": "maximum context length is 9", "code": 400}, "too_long", 0),
        ({"code": "Throttling.RateQuota", "message": "x", "request_id": "r"}, "transient", True),
        ({"detail": "Not Found"}, "fatal", False),
        ({"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}, "fatal", 0),
        ({"choices": [{"error": {"code": 502, "message": "died"}, "message": {}}]}, "transient", 0),
        ({"choices": None, "error": {"code": 402, "message": "no money"}}, "fatal", False),
    ],
)
def test_its_code_or_its_name_counts_as_the_status(body: Any, kind: str, busy: bool) -> None:
    trouble = read_inner(body, find_endpoint(SPEC, {}))
    assert trouble is not None
    assert (trouble.kind, trouble.busy) == (kind, bool(busy))


@pytest.mark.parametrize(
    "body",
    [
        {"choices": [{"message": {"content": "fine"}}], "error": None},
        {"choices": [{"message": {"content": "x"}}], "base_resp": {"status_code": 0}},
        {"content": [{"type": "text", "text": "error"}], "type": "message"},
        {"choices": []},
        {"message": {"content": "of another protocol"}},
        {},
        [],
        "error",
    ],
)
def test_what_holds_no_error_is_left_to_the_protocol(body: Any) -> None:
    assert read_inner(body, find_endpoint(SPEC, {})) is None


@pytest.mark.parametrize("provider", ["local", "claude"])
def test_an_empty_purse_inside_status_200_ends_the_run_with_its_words(provider: str) -> None:
    body = {"error": {"code": 402, "message": "Insufficient credits: add more"}}
    with JudgeServer(provider, faults=[Fault(body=body)] * 9) as server:
        found = with_client(server, lambda client: outcomes(client, 3), concurrency=1)
    assert all(isinstance(one, Failure) and one.kind == "judge_fatal" for one in found)
    assert "402" in str(found[0].reason) and "add more" in found[0].reason
    assert len(server.requests) == 1


def test_too_many_inside_status_200_slows_everybody_and_passes() -> None:
    paused = []

    async def work(client: Client) -> Any:
        client._sender.limits.pause = paused.append  # type: ignore[method-assign]
        return await outcomes(client, 1)

    body = {"error": {"code": 429, "message": "slow down", "retryDelay": "0.01s"}}
    with JudgeServer("local", faults=[Fault(body=body)]) as server:
        (answer,) = with_client(server, work)
    assert not isinstance(answer, Failure) and paused and len(server.requests) == 2


def test_a_server_away_inside_status_200_is_tried_again() -> None:
    with JudgeServer("local", faults=[Fault(body={"error": {"code": 503, "message": "x"}})]) as one:
        assert ask_once(one).finish == "stop"
    assert len(one.requests) == 2
