"""The adaptive KL coefficient: how it moves, what it is fed, and that a resume keeps it."""

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from tensordict import TensorDict

from tests import reference_ppo as paper
from tests.ppo_batches import CLOSE, Batch, configured, many, nested, seeds


@given(seed=seeds, target=st.sampled_from(["0.05", "6"]), responses=st.sampled_from([4, 512]))
@many
def test_the_coefficient_moves_as_the_adaptive_controller_says(
    seed: int, target: str, responses: int
) -> None:
    from verl.trainer.ppo.core_algos import AdaptiveKLController, get_kl_controller

    config = configured("--target_kl", target, "--kl_coef", "0.2", "--kl_horizon", "10000")
    controller = get_kl_controller(config.algorithm.kl_ctrl)
    assert isinstance(controller, AdaptiveKLController)
    kls = [float(kl) for kl in np.random.default_rng(seed).uniform(-2, 40, 200)]
    found = [controller.value]
    for kl in kls:
        controller.update(kl, n_steps=responses)
        found.append(controller.value)
    exact = paper.adaptive_coefficients(0.2, kls, float(target), responses, 10000)
    np.testing.assert_allclose(found, exact, rtol=1e-9)


@given(seed=seeds)
@many
def test_the_controller_is_fed_the_kl_of_whole_responses(seed: int) -> None:
    from verlaunch.engine.training.algorithm import kl_per_response

    batch = Batch(seed, holes=True)
    rows = TensorDict(
        {
            "old_log_probs": nested(batch.log_old, batch.order),
            "ref_log_prob": nested(batch.log_ref, batch.order),
            "response_mask": nested(batch.kept, batch.order, torch.int64),
        },
        len(batch.order),
    )
    exact = paper.kl_of_responses(batch.log_old, batch.log_ref, batch.kept)
    np.testing.assert_allclose(kl_per_response(rows), exact, **CLOSE)


def trainer_with(controller: Any) -> Any:
    """The trainer's state of the algorithm without its cluster."""
    from verlaunch.engine.training.algorithm import Algorithm

    trainer = object.__new__(Algorithm)
    trainer.config = SimpleNamespace(algorithm=SimpleNamespace(use_kl_in_reward=True))
    trainer.kl_ctrl_in_reward = controller
    return trainer


def test_a_restored_coefficient_goes_on_where_it_was() -> None:
    from verl.trainer.ppo.core_algos import AdaptiveKLController, FixedKLController

    whole, first, second = (AdaptiveKLController(0.2, 6.0, 1000) for _ in range(3))
    kls = [1.0, 9.0, 6.1, 5.9]
    for kl in kls:
        whole.update(kl, n_steps=64)
    for kl in kls[:2]:
        first.update(kl, n_steps=64)
    state = json.loads(json.dumps(trainer_with(first).algorithm_state()))
    trainer_with(second).restore_algorithm(state)
    for kl in kls[2:]:
        second.update(kl, n_steps=64)
    assert second.value == whole.value != 0.2
    fixed = FixedKLController(0.001)
    trainer_with(fixed).restore_algorithm(state)
    assert fixed.value == 0.001
