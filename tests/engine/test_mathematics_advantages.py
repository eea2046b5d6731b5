"""Advantages, returns and the KL in the reward are what the papers say.

The other side is tests/reference_ppo.py: float64 and loops; both sides agree to 1e-5. Where verl
differs from a paper on purpose, the test says so.
"""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tensordict import TensorDict

from tests import reference_ppo as paper
from tests.ppo_batches import CLOSE, Batch, configured, flat, many, nested, proto, seeds, tokens


def with_advantages(batch: Batch, *argv: str) -> Any:
    from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories

    config, data = configured(*argv).algorithm, proto(batch)
    data.batch["token_level_rewards"] = data.batch["token_level_scores"]
    return compute_advantage_for_multi_trajectories(
        data,
        batch_keys=[f"u_{i}_0" for i in batch.order],
        adv_estimator=config.adv_estimator,
        gamma=config.gamma,
        lam=config.lam,
        config=config,
    )


DISCOUNTS = [("1.0", "0.95"), ("0.99", "0.95"), ("1.0", "1.0")]


@pytest.mark.parametrize(("gamma", "lam"), DISCOUNTS)
@given(seed=seeds, holes=st.booleans())
@many
def test_advantages_and_returns_are_those_of_gae(
    gamma: str, lam: str, seed: int, holes: bool
) -> None:
    batch = Batch(seed, holes=holes)
    data = with_advantages(batch, "--gamma", gamma, "--lam", lam)
    exact = paper.gae(batch.scores, batch.values, batch.kept, float(gamma), float(lam))
    returns = [a + v for a, v in zip(exact, batch.values, strict=True)]
    np.testing.assert_allclose(tokens(data.batch["returns"], batch), flat(returns, batch), **CLOSE)
    # verl adds 1e-8 to the variance; it is the unbiased one. No paper asks for whitening.
    whitened = flat(paper.whitened(exact, batch.kept), batch)
    np.testing.assert_allclose(tokens(data.batch["advantages"], batch), whitened, **CLOSE)


@given(seed=seeds, holes=st.booleans())
@many
def test_unwhitened_advantages_are_gaes_own(seed: int, holes: bool) -> None:
    from verlaunch.engine.training.algorithm import unwhitened

    batch = Batch(seed, holes=holes)
    exact = paper.gae(batch.scores, batch.values, batch.kept, 0.99, 0.95)
    returns = [np.nan_to_num(a + v) for a, v in zip(exact, batch.values, strict=True)]
    rows = TensorDict(
        {
            "returns": nested(returns, batch.order),
            "values": nested(batch.values, batch.order),
            "response_mask": nested(batch.kept, batch.order, torch.int64),
        },
        len(batch.order),
    )
    found = unwhitened(rows)
    np.testing.assert_allclose(
        tokens(found.to_padded_tensor(0.0), batch), flat(exact, batch), **CLOSE
    )
    assert [len(row) for row in found.unbind()] == list(batch.lengths)


@given(seed=seeds)
@many
def test_with_gamma_and_lambda_1_an_unwhitened_advantage_is_the_reward_minus_the_value(
    seed: int,
) -> None:
    batch = Batch(seed)
    data = with_advantages(batch, "--gamma", "1.0", "--lam", "1.0")
    advantage = tokens(data.batch["returns"] - data.batch["values"], batch)
    whole = [np.full(len(s), s.sum()) - v for s, v in zip(batch.scores, batch.values, strict=True)]
    np.testing.assert_allclose(advantage, flat(whole, batch), **CLOSE)


# verl's name, and the one of the literature, which it knows too
KL_NAMES = [("kl", "k1"), ("mse", "k2"), ("low_var_kl", "k3")]


@pytest.mark.parametrize(("name", "kind"), KL_NAMES)
@given(seed=seeds)
@many
def test_each_kl_penalty_is_the_estimator_of_its_name(name: str, kind: str, seed: int) -> None:
    from verl.trainer.ppo.core_algos import get_kl_controller, kl_penalty
    from verl.trainer.ppo.ray_trainer import apply_kl_penalty

    batch = Batch(seed, holes=True)
    config = configured("--kl_coef", "0.1", f"algorithm.kl_penalty={name}").algorithm
    controller = get_kl_controller(config.kl_ctrl)
    data, metrics = apply_kl_penalty(proto(batch), controller, config.kl_penalty)
    exact = paper.rewards_with_kl(batch.scores, batch.log_old, batch.log_ref, 0.1, kind)
    found = tokens(data.batch["token_level_rewards"], batch)
    np.testing.assert_allclose(found, flat(exact, batch), **CLOSE)
    assert metrics["actor/reward_kl_penalty_coeff"] == 0.1
    log_ratio = data.batch["old_log_probs"], data.batch["ref_log_prob"]
    assert torch.equal(kl_penalty(*log_ratio, name), kl_penalty(*log_ratio, kind))


def test_verl_bounds_k3_at_10_nats() -> None:
    """Where policies are so far apart the estimate is no longer the paper's; k1 and k2 are."""
    from verl.trainer.ppo.core_algos import kl_penalty

    far = torch.tensor([0.0]), torch.tensor([5.0])  # r - 1 - log r = 142.4
    assert kl_penalty(*far, "k3").item() == 10.0
    assert kl_penalty(*far, "k1").item() == -5.0
    assert kl_penalty(*far, "k2").item() == 12.5
