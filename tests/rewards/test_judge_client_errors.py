"""What the client makes of trouble: try again, give the row up, or stop. And no key leaks."""

import asyncio
import pickle
import traceback

import pytest

from rewards.judge import client as client_module
from rewards.judge.client import Client, backoff_s
from rewards.part import Failure
from tests.judge_servers import KEY, Fault, JudgeServer
from tests.rewards.test_judge_client import ASK, ask_once, outcomes, with_client

FIRST_WAIT_S = client_module.FIRST_WAIT_S


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "FIRST_WAIT_S", 0.01)


def failure_of(server: JudgeServer, **spec: object) -> Failure:
    with pytest.raises(Failure) as caught:
        ask_once(server, **spec)
    return caught.value


TRANSIENT = {
    **{str(status): Fault(status) for status in (408, 409, 429, 500, 502, 503, 504, 529)},
    "reset": Fault(how="reset"),
    "cut off": Fault(how="cut"),
    "truncated": Fault(how="truncated"),
    "hang": Fault(how="hang"),
    "quota per minute": Fault(429, "insufficient_quota", "You exceeded your current quota"),
}


@pytest.mark.parametrize("provider", ["dashscope", "gemini", "claude"])
@pytest.mark.parametrize("name", [name for name in TRANSIENT if name != "quota per minute"])
def test_what_may_pass_is_tried_again(provider: str, name: str) -> None:
    with JudgeServer(provider, faults=[TRANSIENT[name]] * 2) as server:
        assert ask_once(server, timeout_s=0.3).finish == "stop"
    assert len(server.requests) == 3


def test_dashscopes_insufficient_quota_is_a_limit_per_minute_and_passes() -> None:
    with JudgeServer("dashscope", faults=[TRANSIENT["quota per minute"]]) as server:
        assert ask_once(server).finish == "stop"


FATAL = [
    ("dashscope", Fault(400, "Arrearage", "Access denied, your account is overdue.")),
    ("dashscope", Fault(403, "AccessDenied.Unpurchased", "Access to model denied.")),
    ("dashscope", Fault(403, "AllocationQuota.FreeTierOnly", "The free tier is exhausted.")),
    ("local", Fault(401, "invalid_api_key", "bad key")),
    ("local", Fault(402, message="Payment required")),
    ("local", Fault(404, "model_not_found", "The model `x` does not exist")),
    ("local", Fault(429, "insufficient_quota", "You exceeded your current quota")),
    ("gemini", Fault(429, "GenerateRequestsPerDayPerProject", "You exceeded your quota")),
    ("gemini", Fault(429, message="x" * 400 + " Quota exceeded for metric: y, limit: 0, model: z")),
    ("claude", Fault(400, message="Your credit balance is too low to access the API")),
    ("claude", Fault(429, "enforced_spend_limit_reached", "Your spend limit is reached")),
]


@pytest.mark.parametrize(("provider", "fault"), FATAL)
def test_what_cannot_pass_ends_the_run_after_one_request(provider: str, fault: Fault) -> None:
    async def work(client: Client) -> list[Failure]:
        return [await _failure(client) for _ in range(3)]

    with JudgeServer(provider, faults=[fault] * 9) as server:
        first, *later = with_client(server, work)
    assert first.final and first.kind == "judge_fatal"
    assert fault.message[:40] in first.reason and str(fault.status) in first.reason
    assert [(one.reason, one.final) for one in later] == [(first.reason, True)] * 2
    assert len(server.requests) == 1


async def _failure(client: Client) -> Failure:
    with pytest.raises(Failure) as caught:
        await client.ask(ASK)
    return caught.value


@pytest.mark.parametrize("provider", ["local", "dashscope", "gemini", "claude"])
def test_a_wrong_key_ends_the_run_and_is_never_shown(provider: str) -> None:
    wrong = "sk-wrong-fedcba9876543210"
    with JudgeServer(provider) as server:
        client = Client(server.spec(), {name: wrong for name in server.environ})
        failure = asyncio.run(_failure(client))
    assert failure.final
    shown = "".join(traceback.format_exception(failure)) + repr(failure) + repr(vars(client))
    assert wrong not in shown and KEY not in shown


def test_a_key_that_a_provider_echoes_is_blotted_out() -> None:
    echo = Fault(401, message=f"Incorrect API key provided: {KEY}, also sk-proj-abc***wxyz.")
    with JudgeServer("local", faults=[echo]) as server:
        failure = failure_of(server)
    shown = "".join(traceback.format_exception(failure))
    assert KEY not in shown and "wxyz" not in shown and "***" in failure.reason


def test_a_key_in_the_middle_of_long_words_is_blotted_out_before_they_are_cut() -> None:
    for before in range(270, 300):
        echo = Fault(500, message="x" * before + KEY)
        with JudgeServer("local", faults=[echo]) as server:
            reason = failure_of(server, retries=0).reason
        assert KEY[:8] not in reason


@pytest.mark.parametrize("fault", [Fault(401), Fault(500), Fault(how="reset"), Fault(how="cut")])
def test_failures_are_plain_and_travel_between_processes(fault: Fault) -> None:
    with JudgeServer("local", faults=[fault] * 3) as server:
        failure = failure_of(server, retries=1)
    again = pickle.loads(pickle.dumps(failure))
    assert (again.kind, again.reason, again.final) == (failure.kind, failure.reason, failure.final)
    assert failure.__cause__ is None


def test_a_server_that_stays_in_trouble_costs_the_row_and_not_the_run() -> None:
    with JudgeServer("local", faults=[Fault(503, message="overloaded, sorry")] * 4) as server:
        failure = failure_of(server, retries=3)
        assert ask_once(server).finish == "stop"
    assert (failure.kind, failure.final) == ("judge_unavailable", False)
    assert "4 tries" in failure.reason and "overloaded, sorry" in failure.reason


def test_a_request_that_was_never_right_ends_the_run() -> None:
    faults = [Fault(400, "invalid_value", "tool_choice is odd")] * 9
    with JudgeServer("gemini", faults=faults) as server:
        failure = failure_of(server)
    assert (failure.kind, failure.final) == ("judge_rejected", True)


def test_one_row_that_is_rejected_among_good_ones_costs_only_itself() -> None:
    async def work(client: Client) -> list[object]:
        return [(await outcomes(client, 1))[0] for _ in range(3)]

    with JudgeServer("claude", faults=[None, Fault(400, message="messages: odd bytes")]) as server:
        before, odd, after = with_client(server, work)
    assert isinstance(odd, Failure) and not odd.final
    assert not isinstance(before, Failure) and not isinstance(after, Failure)


@pytest.mark.parametrize(
    ("provider", "fault"),
    [
        (
            "local",
            Fault(400, "context_length_exceeded", "maximum context length is 9"),
        ),
        ("claude", Fault(400, message="prompt is too long: 250000 tokens > 200000 maximum")),
        ("claude", Fault(413, message="Request exceeds the maximum size")),
        (
            "dashscope",
            Fault(400, "invalid_parameter", "Range of input length should be [1, 9]"),
        ),
    ],
)
def test_a_row_that_is_too_long_costs_only_itself(provider: str, fault: Fault) -> None:
    with JudgeServer(provider, faults=[fault]) as server:
        failure = failure_of(server)
    assert (failure.kind, failure.final) == ("judge_too_long", False)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("provider", "fault"),
    [
        ("local", Fault(429, headers={"retry-after": "0.4"})),
        ("local", Fault(503, headers={"retry-after-ms": "400"})),
        ("claude", Fault(529, headers={"retry-after": "0.4"})),
        ("gemini", Fault(429, retry_delay="0.4s")),
    ],
)
def test_a_server_is_left_alone_for_as_long_as_it_asks(provider: str, fault: Fault) -> None:
    with JudgeServer(provider, faults=[fault]) as server:
        ask_once(server)
    first, second = (seen.at for seen in server.requests)
    assert second - first >= 0.4


def test_too_many_requests_said_to_one_holds_all_back() -> None:
    slow = Fault(delay_s=0.1)
    faults = [Fault(429, headers={"retry-after": "0.5"}), slow, slow, slow]
    with JudgeServer("local", faults=faults) as server:
        found = with_client(server, lambda client: outcomes(client, 12), concurrency=4)
    assert not [one for one in found if isinstance(one, Failure)]
    times = [seen.at for seen in server.requests]
    assert len(times) == 13 and min(times[4:]) - times[0] >= 0.5


def test_a_wait_of_an_hour_is_cut_to_a_minute() -> None:
    from rewards.judge.endpoint import find_endpoint
    from rewards.judge.failed_requests import read_error

    class Response:
        headers = {"retry-after": "3600"}  # noqa: RUF012

    class Error(Exception):
        status_code, body, response = 429, None, Response()

    with JudgeServer("local") as server:
        endpoint = find_endpoint(server.spec(), server.environ)
    assert read_error(Error(), endpoint).wait_s == 60.0


def test_a_server_that_is_down_for_a_while_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "FIRST_WAIT_S", 0.1)

    async def work(client: Client) -> list[object]:
        asking = asyncio.ensure_future(outcomes(client, 60))
        await asyncio.sleep(0.1)
        await asyncio.to_thread(server.down)
        await asyncio.sleep(1.0)
        await asyncio.to_thread(server.up)
        return await asking

    with JudgeServer("local", latency_s=0.05) as server:
        found = with_client(server, work, concurrency=8)
    assert not [one for one in found if isinstance(one, Failure)]


def test_eight_waits_outlast_ten_seconds_however_the_dice_fall(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_module, "FIRST_WAIT_S", FIRST_WAIT_S)
    monkeypatch.setattr(client_module.random, "uniform", lambda low, high: low)
    assert sum(backoff_s(attempt) for attempt in range(8)) > 10
    monkeypatch.setattr(client_module.random, "uniform", lambda low, high: high)
    assert backoff_s(0) == 0.5 and backoff_s(4) == backoff_s(100) == 8.0


def test_those_who_wait_for_their_turn_are_told_at_once_when_the_run_ends() -> None:
    with JudgeServer("local", faults=[Fault(401)]) as server:
        # at one request in ten minutes the others would wait for more than an hour
        found = with_client(server, lambda client: outcomes(client, 10), rpm=0.1, concurrency=4)
    assert all(isinstance(one, Failure) and one.final for one in found)
    assert len(server.requests) == 1


def test_those_who_wait_to_try_again_are_told_at_once_when_the_run_ends() -> None:
    later = {"retry-after": "59"}
    faults = [Fault(500, headers=later), Fault(500, headers=later), Fault(401, delay_s=0.2)]

    async def work(client: Client) -> list[object]:
        return await asyncio.wait_for(outcomes(client, 3), 20)

    with JudgeServer("local", faults=faults) as server:
        found = with_client(server, work, concurrency=3)
    assert all(isinstance(one, Failure) and one.final for one in found)


def test_an_odd_row_does_not_cost_the_others_their_structured_output() -> None:
    async def work(client: Client) -> list[object]:
        return [(await outcomes(client, 1))[0] for _ in range(3)]

    odd = Fault(400, "bad_request", "response_format: there is no schema for this one")
    with JudgeServer("local", faults=[None, odd]) as server:
        found = with_client(server, work)
    assert [isinstance(one, Failure) for one in found] == [False, True, False]
    assert all("response_format" in seen.body for seen in server.requests)


def test_an_answer_after_the_deadline_is_none() -> None:
    with JudgeServer("local", faults=[Fault(delay_s=5.0)]) as server:
        failure = failure_of(server, timeout_s=0.2, retries=0)
    assert "within 0.2 s" in failure.reason
