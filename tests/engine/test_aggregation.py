"""Smaller micro batches and more ranks: the same gradient, by every way to aggregate a loss."""

from itertools import chain

import numpy as np
import pytest
import torch

from tests.ppo_batches import dataclass_of
from verlaunch.plan.guards.values_taken import limits

ACTOR = "actor_rollout_ref.actor"
LENGTHS = [[9, 2, 5, 1], [3, 8, 4, 6]]  # of each rank's rows
MODES = limits()[f"{ACTOR}.loss_agg_mode"].choices
CUTS = (1, 2, 4)  # rows of a micro batch


def summed(section: str, mode: str, dealt: list[list[int]], rows: int) -> float:
    """The loss of a mini batch that ranks and micro batches share, with FSDP's mean over ranks."""
    from verl.trainer.ppo.core_algos import agg_loss

    config, random = dataclass_of(section), np.random.default_rng(1)
    every = {n: torch.tensor(random.standard_normal(n)) for n in sorted(chain(*dealt))}
    total = 0.0
    for lengths in dealt:
        for first in range(0, len(lengths), rows):
            cut = lengths[first : first + rows]
            mask = torch.nn.utils.rnn.pad_sequence([torch.ones(n) for n in cut], batch_first=True)
            loss = torch.nn.utils.rnn.pad_sequence([every[n] for n in cut], batch_first=True)
            total += agg_loss(
                loss, mask, mode, dp_size=len(dealt), batch_num_tokens=sum(map(sum, dealt)),
                global_batch_size=sum(map(len, dealt)), loss_scale_factor=config.loss_scale_factor,
            ).item()  # fmt: skip
    return total / len(dealt)


@pytest.mark.parametrize("section", [ACTOR, "critic"])
@pytest.mark.parametrize("mode", MODES)
def test_a_loss_does_not_depend_on_the_cut(section: str, mode: str) -> None:
    one_rank = [[*chain(*LENGTHS)]]
    found = [summed(section, mode, dealt, cut) for dealt in (one_rank, LENGTHS) for cut in CUTS]
    np.testing.assert_allclose(found, found[0], rtol=1e-6)


def test_the_factor_is_the_longest_response_and_may_be_typed() -> None:
    for section in (ACTOR, "critic"):
        assert dataclass_of(section).loss_scale_factor == 512
        short = dataclass_of(section, "--max_response_length", "64")
        assert short.loss_scale_factor == 64
        typed = dataclass_of(section, f"{section}.loss_scale_factor=7")
        assert typed.loss_scale_factor == 7


def test_without_a_factor_verl_divides_by_the_longest_of_a_cut() -> None:
    mask = torch.ones(1, 3)
    from verl.trainer.ppo.core_algos import agg_loss

    padded = torch.nn.functional.pad(mask, (0, 3))
    alone, beside = (agg_loss(one, one, "seq-mean-token-sum-norm") for one in (mask, padded))
    assert (alone, beside) == (1.0, 0.5)
