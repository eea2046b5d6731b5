"""Every kind of answer that a reader may misread: `math_cases` says which are right."""

import asyncio

import pytest

from rewards.rules.math_reasoning import compute_score
from tests.rewards.math_cases import KINDS

CASES = [
    pytest.param(*case, id=f"{kind}-{at}")
    for kind, cases in KINDS.items()
    for at, case in enumerate(cases)
]
LOOP = asyncio.new_event_loop()


@pytest.mark.parametrize(("truth", "response", "expected"), CASES)
def test_what_is_right_pays_and_what_is_not_does_not(
    truth: str, response: str, expected: int
) -> None:
    found = LOOP.run_until_complete(compute_score("m", response, truth))
    assert found["score"] == expected


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_answers_that_pay_and_answers_that_do_not(kind: str) -> None:
    assert {score for _, _, score in KINDS[kind]} == {0, 1}
