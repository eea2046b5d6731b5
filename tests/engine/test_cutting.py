"""Rows of like length share a micro batch, and none holds more than its budget, padding counted."""

from itertools import chain, combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verlaunch.engine.training.cutting import UNEVEN, cut, overhead

some = st.lists(st.integers(1, 40), min_size=1, max_size=30)


def padded(groups: list[list[int]], lengths: list[int]) -> list[int]:
    return [len(group) * max(lengths[row] for row in group) for group in groups]


def costs(parts: list[int], budget: int, extra: int) -> float:
    return sum(extra + tokens * (1 + UNEVEN * tokens / budget) for tokens in parts)


@settings(max_examples=60, deadline=None)
@given(some, st.integers(1, 200), st.integers(0, 50), st.integers(1, 8))
def test_every_row_once_within_the_budget(
    lengths: list[int], budget: int, extra: int, least: int
) -> None:
    groups = cut(lengths, budget, extra, least)
    assert sorted(chain(*groups)) == list(range(len(lengths)))
    assert len(groups) >= min(least, len(lengths))
    for group, tokens in zip(groups, padded(groups, lengths), strict=True):
        assert tokens <= budget or len(group) == 1


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=8), st.integers(20, 80))
def test_no_other_cut_of_sorted_rows_is_cheaper(lengths: list[int], budget: int) -> None:
    lengths.sort(reverse=True)
    found = []
    for number in range(len(lengths)):
        for at in combinations(range(1, len(lengths)), number):
            ends = [0, *at, len(lengths)]
            parts = [(b - a) * lengths[a] for a, b in pairwise(ends)]
            if max(parts) <= budget:
                found.append(costs(parts, budget, 9))
    ours = costs(padded(cut(lengths, budget, 9), lengths), budget, 9)
    assert ours == pytest.approx(min(found))


def test_the_longest_rows_come_first() -> None:
    groups = cut([9, 2, 8, 2], budget=18, extra=4)
    assert groups == [[0, 2], [1, 3]]


def test_rows_of_one_length_are_cut_evenly_and_only_for_the_budget() -> None:
    assert list(map(len, cut([80] * 64, budget=4096, extra=64))) == [32, 32]
    assert len(cut([80] * 25, budget=4096, extra=64)) == 1


def test_of_real_answers_little_is_padding() -> None:
    random = np.random.default_rng(0)
    drawn = random.lognormal(0, 0.8, 64)
    lengths = np.clip(drawn / drawn.mean() * 64, 4, 256).astype(int).tolist()
    assert sum(padded(cut(lengths, 4096, 64), lengths)) < 1.15 * sum(lengths)


def test_more_micro_batches_are_made_of_the_largest_for_another_ranks_sake() -> None:
    assert list(map(len, cut([5] * 8, 100, 1, at_least=3))) == [2, 2, 4]
    assert len(cut([5, 5], 100, 1, at_least=9)) == 2  # as far as there are rows


def test_a_pass_costs_a_small_model_more_tokens_than_a_large_one() -> None:
    assert overhead("cpu", 400_000) > 4 * overhead("cpu", 100_000_000)
    assert overhead("cuda", 7_000_000_000) >= overhead("cpu", 7_000_000_000)
