"""The judge's budget: never a request too many, and dollars that hold with many under way."""

import asyncio

import pytest

from rewards.judge import client as client_module
from rewards.judge.client import Client
from rewards.judge.costs import Budget, Price, Tokens, find_price
from rewards.part import CannotStart, Failure
from rewards.spec import JudgeSpec
from tests.judge_servers import Fault, JudgeServer, every
from tests.rewards.test_judge_client import outcomes, with_client

CENT = Tokens(10_000, 0)  # at a dollar per million tokens


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "FIRST_WAIT_S", 0.01)


@pytest.mark.parametrize("budget", [0, 1, 7, 30])
def test_a_budget_of_requests_is_never_exceeded_by_retries_or_by_haste(budget: int) -> None:
    with JudgeServer("local", faults=every(3, Fault(500)), latency_s=0.01) as server:
        found = with_client(
            server, lambda client: outcomes(client, 40), concurrency=16, budget_requests=budget
        )
    failures = [one for one in found if isinstance(one, Failure)]
    assert len(server.requests) == budget
    assert failures and all(one.final and one.kind == "budget" for one in failures)
    assert f"{budget} requests" in failures[0].reason and "--rm_budget" in failures[0].reason


def test_a_budget_that_is_enough_is_not_felt() -> None:
    with JudgeServer("local") as server:
        found = with_client(server, lambda client: outcomes(client, 12), budget_requests=12)
    assert not [one for one in found if isinstance(one, Failure)]


def test_a_budget_in_dollars_ends_the_run_before_it_is_overspent() -> None:
    async def work(client: Client) -> dict[str, float]:
        found = await outcomes(client, 40)
        assert [one for one in found if isinstance(one, Failure) and one.final]
        return client.curves()

    with JudgeServer("claude", latency_s=0.01) as server:
        curves = with_client(server, work, budget_usd=0.0002, concurrency=8)
    assert 0 < curves["judge/cost_usd"] <= 0.0002
    assert curves["judge/cost_usd"] == pytest.approx(len(server.requests) * (4 + 6) / 1e6)


def test_dollars_of_an_unknown_price_are_refused_with_what_to_type() -> None:
    spec = JudgeSpec("openai", "my-own", "", "", budget_usd=5.0)
    with pytest.raises(CannotStart, match="--rm_budget 10000requests"):
        Client(spec, {"OPENAI_API_KEY": "k"})


def test_bills_under_way_are_waited_for_before_a_budget_counts_as_spent() -> None:
    async def work() -> None:
        budget = Budget(usd=0.015, price=Price(1.0, 1.0))
        first = await budget.take(CENT)
        second = asyncio.ensure_future(budget.take(CENT))
        await asyncio.sleep(0)
        assert not second.done()  # both bounds together are too much; the first may cost less
        budget.settle(first, Tokens(1000, 0))
        budget.settle(await second, None)  # nobody knows what it cost: its bound counts
        assert budget.usd == pytest.approx(0.011)
        with pytest.raises(Failure):
            await budget.take(CENT)

    asyncio.run(work())


def test_an_unanswered_request_costs_its_bound_and_a_refused_one_nothing() -> None:
    async def cost(client: Client) -> float:
        await outcomes(client, 1)
        return client.curves()["judge/cost_usd"]

    def cost_after(fault: Fault) -> float:
        with JudgeServer("claude", faults=[fault]) as server:
            return with_client(server, cost, timeout_s=0.2)

    one_answer = (40 * 0.10 + 12 * 0.50) / 1e6
    for fault in (Fault(500), Fault(429), Fault(how="reset")):
        assert cost_after(fault) == pytest.approx(one_answer)
    for fault in (Fault(how="hang"), Fault(how="truncated")):
        assert cost_after(fault) > one_answer + 64 * 0.50 / 1e6


@pytest.mark.parametrize("model", ["gpt-4o-mini", "gpt-4o-mini-2024-07-18", "gpt-4o-mini-latest"])
def test_a_date_behind_a_models_name_does_not_change_its_price(model: str) -> None:
    assert find_price("openai", model) == Price(0.15, 0.60)
    assert find_price("openai", model + "-turbo") is None
