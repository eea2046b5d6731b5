"""The clipped losses, the KL in the loss and the entropy are what the papers say.

The other side is tests/reference_ppo.py: float64 and loops; both sides agree to 1e-5, in the loss
and, for micro batches of any size, in its gradient.
"""

import pickle
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests import reference_ppo as paper
from tests.ppo_batches import (
    CLOSE,
    Batch,
    critic_loss,
    dataclass_of,
    flat,
    many,
    policy_loss,
    proto,
    seeds,
)


@given(seed=seeds, holes=st.booleans(), clip=st.sampled_from(["0.1", "0.2"]))
@many
def test_the_policy_loss_is_clipped_as_ppo_says_and_once_more_below(
    seed: int, holes: bool, clip: str
) -> None:
    batch = Batch(seed, holes=holes)
    batch.log_new = batch.near(batch.log_old, 1.0)  # ratios up to 20: each branch is taken
    loss, metrics, _ = policy_loss(batch, ("--clip_ratio", clip))
    exact = paper.policy_loss(
        batch.log_new, batch.log_old, batch.advantages, batch.kept, float(clip), dual=3.0
    )
    np.testing.assert_allclose([loss, metrics["actor/pg_loss"]], exact, **CLOSE)


@given(seed=seeds, clip=st.sampled_from(["0.2", "0.5"]), coef=st.sampled_from([0.5, 0.1, 1.0]))
@many
def test_the_value_loss_is_clipped_and_weighted(seed: int, clip: str, coef: float) -> None:
    from verl.workers.utils.losses import value_loss

    from verlaunch.engine.training.algorithm import weighted_value_loss

    batch = Batch(seed, holes=True)
    config = dataclass_of("critic", "--cliprange_value", clip)
    squares = paper.value_loss(
        batch.new_values, batch.values, batch.returns, batch.kept, float(clip)
    )
    verls, told, gradient = critic_loss(batch, partial(value_loss, config=config))
    np.testing.assert_allclose([verls, told], 0.5 * squares, **CLOSE)
    ours, told, ours_gradient = critic_loss(batch, partial(weighted_value_loss, coef, config))
    np.testing.assert_allclose(ours, coef * squares, **CLOSE)
    np.testing.assert_allclose(told, 0.5 * squares, **CLOSE)  # the record's number stays
    torch.testing.assert_close(ours_gradient, gradient * coef / 0.5)


def test_the_weighted_value_loss_survives_the_way_to_the_workers() -> None:
    from verlaunch.engine.training.algorithm import weighted_value_loss

    loss = partial(weighted_value_loss, 1.0, dataclass_of("critic"))
    batch = Batch(3)
    assert critic_loss(batch, pickle.loads(pickle.dumps(loss)))[0] == critic_loss(batch, loss)[0]


def kl_in_loss(kind: str) -> tuple[str, ...]:
    actor = "actor_rollout_ref.actor"
    switches = f"{actor}.use_kl_loss=true", f"{actor}.kl_loss_coef=0.3"
    return (*switches, f"{actor}.kl_loss_type={kind}")


@pytest.mark.parametrize("kind", ["k1", "k2", "k3"])
@given(seed=seeds)
@many
def test_a_kl_in_the_loss_is_its_mean_over_tokens(kind: str, seed: int) -> None:
    batch = Batch(seed, holes=True)
    loss, metrics, _ = policy_loss(batch, kl_in_loss(kind))
    pairs = zip(flat(batch.log_new, batch), flat(batch.log_ref, batch), strict=True)
    kl = np.mean([paper.kl_estimates(p, q)[kind] for p, q in pairs])
    clipped = paper.policy_loss(
        batch.log_new, batch.log_old, batch.advantages, batch.kept, 0.2, dual=3.0
    )
    np.testing.assert_allclose(metrics["kl_loss"], kl, **CLOSE)
    np.testing.assert_allclose(loss, clipped + 0.3 * kl, **CLOSE)


@given(seed=seeds, size=st.integers(1, 6))
@many
def test_micro_batches_of_any_size_give_one_loss_and_one_gradient(seed: int, size: int) -> None:
    from verlaunch.engine.training.algorithm import weighted_value_loss

    batch = Batch(seed, holes=True)
    order = [int(i) for i in batch.random.permutation(len(batch.order))]
    parts = [order[i : i + size] for i in range(0, len(order), size)]
    with_kl = kl_in_loss("k3")
    once, in_parts = policy_loss(batch, with_kl), policy_loss(batch, with_kl, parts)
    np.testing.assert_allclose(in_parts[0], once[0], **CLOSE)
    np.testing.assert_allclose(in_parts[2], once[2], **CLOSE)
    loss = partial(weighted_value_loss, 0.7, dataclass_of("critic"))
    once, in_parts = critic_loss(batch, loss), critic_loss(batch, loss, parts)
    np.testing.assert_allclose(in_parts[0], once[0], **CLOSE)
    np.testing.assert_allclose(in_parts[2], once[2], **CLOSE)


@given(seed=seeds)
@many
def test_the_entropy_is_that_of_the_distribution(seed: int) -> None:
    from verl.trainer.ppo.core_algos import agg_loss
    from verl.utils.torch_functional import entropy_from_logits

    batch = Batch(seed, holes=True)
    logits = batch.random.normal(0, 3, (len(batch.order), max(batch.lengths), 11))
    logits = logits.astype(np.float32).astype(np.float64)
    mask = proto(batch).batch["response_mask"]
    exact = np.array([[paper.entropy(token, 1.0) for token in row] for row in logits])
    each = entropy_from_logits(torch.tensor(logits, dtype=torch.float32))
    np.testing.assert_allclose(each.double().numpy(), exact, **CLOSE)
    mean = agg_loss(each, mask, "token-mean").item()
    np.testing.assert_allclose(mean, exact[mask.bool().numpy()].mean(), **CLOSE)
