"""The judge's limits, as its server sees them; the minute of these tests is half a second."""

import asyncio
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewards.judge import client as client_module
from rewards.judge import rate_limits as limits_module
from rewards.judge.ask import Ask
from rewards.judge.client import Client
from rewards.judge.rate_limits import Limits, Window
from rewards.part import Failure
from rewards.spec import JudgeSpec
from tests.judge_servers import TOKENS, Fault, JudgeServer, every
from tests.rewards.test_judge_client import outcomes, with_client

MINUTE_S = 0.5


@pytest.fixture(autouse=True)
def _short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(limits_module, "MINUTE_S", MINUTE_S)


@pytest.mark.parametrize("concurrency", [1, 3, 16])
def test_no_more_are_in_flight_than_allowed_and_all_places_are_used(concurrency: int) -> None:
    faults = every(7, Fault(500))
    with JudgeServer("local", faults=faults, latency_s=0.02) as server:
        found = with_client(server, lambda c: outcomes(c, 60), concurrency=concurrency)
    assert not [one for one in found if isinstance(one, Failure)]
    assert server.max_in_flight == concurrency


@pytest.mark.parametrize("rpm", [1, 8, 25])
def test_no_minute_sees_more_requests_than_allowed_retries_included(rpm: int) -> None:
    number = 3 * rpm
    faults = every(5, Fault(500))
    with JudgeServer("local", faults=faults, latency_s=0.03) as server:
        found = with_client(server, lambda c: outcomes(c, number), concurrency=64, rpm=rpm)
    assert not [one for one in found if isinstance(one, Failure)]
    assert len(server.requests) >= number
    assert server.most_within(MINUTE_S) <= rpm


def test_requests_are_spread_over_the_minute() -> None:
    with JudgeServer("local") as server:
        with_client(server, lambda c: outcomes(c, 30), concurrency=64, rpm=20)
    # A burst brings 20 at once; the share of a fifth is 4, and what comes late comes together.
    assert server.most_within(MINUTE_S / 5) < 18


def test_less_than_one_request_per_minute_is_one_in_so_many_minutes() -> None:
    with JudgeServer("local") as server:
        with_client(server, lambda c: outcomes(c, 3), rpm=0.5)
    assert server.most_within(2 * MINUTE_S) == 1


def test_no_minute_sees_more_tokens_than_allowed() -> None:
    short = Ask("JSON", "x", {}, max_tokens=16)
    tpm = 5 * sum(TOKENS.values())

    async def work(client: Client) -> None:
        await asyncio.gather(*(client.ask(short) for _ in range(16)))

    with JudgeServer("local", latency_s=0.02) as server:
        with_client(server, work, concurrency=16, tpm=tpm)
    assert server.most_within(MINUTE_S) * sum(TOKENS.values()) <= tpm


def test_an_ask_larger_than_the_tokens_of_a_minute_goes_alone() -> None:
    with JudgeServer("local", latency_s=0.02) as server:
        found = with_client(server, lambda c: outcomes(c, 3), concurrency=8, tpm=10)
    assert not [one for one in found if isinstance(one, Failure)]
    assert server.max_in_flight == 1


def test_those_whom_a_long_pause_held_back_leave_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits_module, "LONG_PAUSE_S", 0.2)
    monkeypatch.setattr(limits_module, "CATCH_UP_S", 0.0)

    async def work() -> list[float]:
        limits = Limits(4, rpm=None, tpm=None)
        limits.pause(0.2)
        start, left = time.monotonic(), []
        for _ in range(5):
            await limits.admit(1)
            left.append(time.monotonic() - start)
        return left

    left = asyncio.run(work())
    assert left[0] >= 0.2
    # the last may find the slow stretch over
    assert all(later - sooner >= 0.2 / 4 for sooner, later in pairwise(left[:4]))


def test_one_too_many_among_answers_holds_others_back_less_than_nothing_but_that() -> None:
    client = Client(JudgeSpec("openai", "m", "", ""), {"OPENAI_API_KEY": "k"})
    pauses = [client._pause_s() for _ in range(5)]
    assert pauses == [0.05, 0.1, 0.2, 0.4, 0.8]


def test_a_place_given_back_is_free_at_once() -> None:
    async def work() -> None:
        limits = Limits(1, rpm=0.001, tpm=None)
        window = limits._requests
        assert window is not None
        limits.give_back(await limits.admit(1))
        assert window.wait_s(1, 0.0) == 0.0

    asyncio.run(work())


REQUESTS = st.lists(
    st.tuples(
        st.floats(0, 20),  # the pause before it is asked
        st.integers(1, 12),  # units reserved
        st.floats(0, 1),  # share of them that it really costs
        st.floats(0, 30),  # how long it takes
        st.floats(0, 1),  # when, within that, the server counts it
    ),
    max_size=40,
)


@given(REQUESTS, st.integers(1, 20))
@settings(deadline=None, max_examples=200)
def test_whenever_a_server_counts_no_window_holds_more_than_the_limit(
    requests: list[tuple[float, int, float, float, float]], limit: int
) -> None:
    length_s, now = 10.0, 0.0
    window = Window(limit, length_s)
    under_way: list[tuple[float, float, float]] = []  # (ends at, reserved, used)
    counted: list[tuple[float, float]] = []  # by the server: (at, units)

    def end_until(time: float) -> None:
        for entry in sorted(under_way):
            if entry[0] <= time:
                window.settle(entry[1], entry[2], entry[0])
                under_way.remove(entry)

    for pause, units, cost, takes, counts in requests:
        reserved, used = min(units, limit), cost * min(units, limit)
        now += pause
        end_until(now)
        while (wait_s := window.wait_s(reserved, now)) > 0:
            assert under_way or wait_s < float("inf"), "it would wait for ever"
            # nextafter: a sum of floats may fall short of the moment it stands for
            now = max(
                min(now + wait_s, *(ends for ends, *_ in under_way), float("inf")), now + 1e-9
            )
            end_until(now)
        window.take(reserved)
        under_way.append((now + takes, reserved, used))
        counted.append((now + takes * counts, used))

    for at, _ in counted:
        held = sum(used for other, used in counted if at <= other < at + length_s - 1e-6)
        assert held <= limit + 1e-6
