"""The batch chain: what is accepted runs in verl, and what is offered is accepted."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verlaunch.config.batch import (
    ACTOR_MICRO,
    CRITIC_MICRO,
    ROLLOUT_MICRO,
    Batch,
    default_mini,
)
from verlaunch.plan.guards.batch_sizes import refused
from verlaunch.text import nearest

SMALL = st.integers(1, 24)
BATCHES = st.builds(
    Batch,
    prompts_per_step=st.integers(1, 96),
    n=st.integers(1, 6),
    mini=st.integers(1, 96),
    ranks=st.integers(1, 8),
    ppo_epochs=st.integers(1, 4),
    critic_mini=st.none() | st.integers(1, 96),
    micro=st.just(())
    | st.tuples(SMALL, SMALL, SMALL).map(
        lambda sizes: tuple(zip((ACTOR_MICRO, ROLLOUT_MICRO, CRITIC_MICRO), sizes, strict=True))
    ),
)


def told(batch: Batch, rows: int | None = None) -> list[str]:
    return [finding.text for finding in refused(batch, rows)]


def offered(problem: str) -> list[int]:
    """The values of a sentence's "Use --batch_size 96 or 128."."""
    found = re.search(r"Use (?:--\w+ |[\w.]+=)?(\d+)(?: or (\d+))?[.,]", problem)
    return [int(value) for value in found.groups() if value] if found else []


@given(BATCHES, st.none() | st.integers(1, 200))
def test_an_accepted_batch_meets_verls_conditions(batch: Batch, rows: int | None) -> None:
    if told(batch, rows):
        return
    assert rows is None or batch.prompts_per_step <= rows
    for mini in filter(None, (batch.mini, batch.critic_mini)):
        assert mini <= batch.prompts_per_step
        assert batch.prompts_per_step % mini == 0  # or the batch is padded
        assert mini * batch.n % batch.ranks == 0  # engine_workers.py:267
    assert batch.sequences % batch.ranks == 0
    for key, micro in batch.micro:
        mini = (batch.critic_mini if key == CRITIC_MICRO else None) or batch.mini
        prompts = batch.prompts_per_step if key == ROLLOUT_MICRO else mini
        assert prompts * batch.n // batch.ranks % micro == 0  # utils.py:125


@given(BATCHES, st.none() | st.integers(1, 200))
def test_each_offered_value_is_accepted_in_its_place(batch: Batch, rows: int | None) -> None:
    for problem in told(batch, rows):
        for value in offered(problem):
            mended = mend(batch, problem, value)
            assert not any(same_kind(problem, left) for left in told(mended, rows))


def mend(batch: Batch, problem: str, value: int) -> Batch:
    if problem.startswith("--batch_size"):
        mini = default_mini(value, batch.n, batch.ranks, value)
        return replace(batch, prompts_per_step=value, mini=mini, critic_mini=None)
    if problem.startswith("--mini_batch_size"):
        return replace(batch, mini=value, critic_mini=batch.critic_mini and value)
    if problem.startswith("critic.ppo_mini"):
        return replace(batch, critic_mini=value)
    key = problem.partition("=")[0]
    micro = tuple((k, value if k == key else size) for k, size in batch.micro)
    return replace(batch, micro=micro)


def same_kind(one: str, other: str) -> bool:
    return re.split("[ =]", one)[0] == re.split("[ =]", other)[0]


@given(st.integers(1, 96), st.integers(1, 6), st.integers(1, 8), st.integers(1, 96))
def test_a_mini_batch_of_ours_is_accepted_whenever_the_batch_is(
    prompts: int, n: int, ranks: int, wanted: int
) -> None:
    batch = Batch(prompts, n, default_mini(prompts, n, ranks, wanted), ranks, 1)
    assert not any("--mini_batch_size" in problem for problem in told(batch))


def test_a_batch_larger_than_the_data_gets_the_largest_that_fits() -> None:
    found = told(Batch(128, 1, 64, 2, 1), rows=101)
    assert found == [
        "--batch_size 128 is larger than the 101 training prompts. "
        "Use --batch_size 100, or give more data."
    ]


def test_fewer_rows_than_ranks_ask_for_data_and_offer_nothing_impossible() -> None:
    (problem,) = told(Batch(8, 1, 8, 8, 1), rows=3)
    assert "a step on 8 ranks takes at least 8. Give more data, a smaller --n_gpus" in problem


def test_a_mini_batch_that_would_be_padded_is_refused() -> None:
    # verl trains 64 prompts with mini batches of 48 as 96 rows, without a word
    (problem,) = told(Batch(64, 1, 48, 1, 1))
    assert problem == (
        "--mini_batch_size 48 does not divide --batch_size 64. Use --mini_batch_size 32 or 64."
    )


def test_a_critics_own_mini_batch_is_named_by_its_key() -> None:
    (problem,) = told(Batch(64, 1, 32, 1, 1, critic_mini=48))
    assert problem.startswith("critic.ppo_mini_batch_size=48 does not divide")


def test_sequences_not_prompts_are_divided_among_ranks() -> None:
    assert not told(Batch(6, 4, 3, 4, 1))  # 3 prompts x 4 responses on 4 ranks
    assert told(Batch(6, 1, 3, 4, 1))


@pytest.mark.parametrize(
    ("wanted", "allowed", "text"),
    [(5, [4, 8], "4 or 8"), (9, [4, 8], "8"), (1, [4, 8], "4"), (8, [4, 8, 16], "8 or 16")],
)
def test_nearest_names_one_value_on_each_side(wanted: int, allowed: list[int], text: str) -> None:
    assert nearest(wanted, allowed) == text


def test_the_screen_gets_whole_words() -> None:
    assert str(Batch(128, 1, 64, 1, 1)) == (
        "128 prompts x 1 response; 2 mini batches of 64 prompts, packed by tokens; "
        "1 PPO epoch: 2 optimizer steps per step"
    )
    assert "micro batches of 4" in str(Batch(8, 2, 8, 2, 3, micro=((ACTOR_MICRO, 4),)))
