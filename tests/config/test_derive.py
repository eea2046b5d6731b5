"""What is left open gets sensible numbers, and what was given stays."""

import functools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from verlaunch.config.compose import compose, fill
from verlaunch.config.derive import Facts, derive
from verlaunch.config.flags import parse
from verlaunch.config.tree import Config, get, ranks
from verlaunch.plan.guards.batch_sizes import refused
from verlaunch.plan.sizes import batch_of

ACTOR = "actor_rollout_ref.actor"
MICRO_KEYS = (
    f"{ACTOR}.ppo_micro_batch_size_per_gpu",
    "actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu",
    "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu",
    "critic.ppo_micro_batch_size_per_gpu",
)


def facts(hardware: str = "cpu", rows: int = 4096, **others: Any) -> Facts:
    usual: dict[str, Any] = {
        "cores": 2,
        "memory_gib": 24.0,
        "vocab_size": 151936,
        "model": "m",
        "run_name": "r",
        "checkpoints": "/c",
    }
    return Facts(hardware=hardware, train_rows=rows, **{**usual, **others})


def filled(*argv: str, about: Facts | None = None) -> dict[str, Any]:
    about = about or facts()
    config = composed(*argv, hardware=about.hardware)
    return fill(config, derive(config.verl, about, config.given)).verl


@functools.cache
def composed(*argv: str, hardware: str = "cpu") -> Config:
    return compose(parse(argv, {}), hardware)


def test_one_gpu_of_24_gib_gets_a_batch_that_it_can_hold() -> None:
    verl = filled(about=facts("gpu", rows=7473, cores=16))
    assert get(verl, "data.train_batch_size") == 256
    assert get(verl, f"{ACTOR}.ppo_mini_batch_size") == 128
    assert get(verl, f"{ACTOR}.use_dynamic_bsz") is True
    # logits of 1413 tokens x 151936 words in fp32, three times over, are a tenth of the card
    assert get(verl, f"{ACTOR}.ppo_max_token_len_per_gpu") == 1413
    assert get(verl, "actor_rollout_ref.rollout.max_model_len") == 1024
    assert get(verl, "actor_rollout_ref.rollout.max_num_seqs") == 256
    assert get(verl, "actor_rollout_ref.rollout.agent.num_workers") == 2
    assert get(verl, "trainer.total_training_steps") == 29
    assert get(verl, "trainer.save_freq") == 8
    assert get(verl, "algorithm.use_kl_in_reward") is True


def test_a_larger_card_packs_more_tokens_and_a_smaller_one_still_fits_one_sequence() -> None:
    def tokens(gib: float) -> int:
        return get(filled(about=facts("gpu", memory_gib=gib)), f"{ACTOR}.ppo_max_token_len_per_gpu")

    assert tokens(80) > tokens(24) > tokens(8) == 1024


def test_ranks_on_the_cpu_share_its_memory() -> None:
    one, two = filled(), filled("--n_gpus", "2")
    key = f"{ACTOR}.ppo_max_token_len_per_gpu"
    assert get(one, key) == 1413
    assert get(two, key) == 1024  # a sequence, which is more than half


def test_little_data_makes_a_small_batch_that_the_ranks_share() -> None:
    verl = filled("--n_gpus", "4", about=facts(rows=30))
    assert get(verl, "data.train_batch_size") == 28
    assert not refused(batch_of(verl), 30)


def test_rows_that_are_not_counted_yet_do_not_shrink_the_batch() -> None:
    verl = filled(about=facts(rows=0, rows_exact=False))
    assert get(verl, "data.train_batch_size") == 128


def test_one_micro_batch_given_turns_packing_off_and_fills_the_others() -> None:
    for key in MICRO_KEYS:
        verl = filled(f"{key}=4")
        assert get(verl, f"{ACTOR}.use_dynamic_bsz") is False
        assert get(verl, key) == 4
        assert all(get(verl, other) for other in MICRO_KEYS)
        assert get(verl, "critic.use_dynamic_bsz") is False
        assert not refused(batch_of(verl), 4096)


def test_kl_goes_into_the_reward_unless_it_is_zero_or_a_loss() -> None:
    assert get(filled("--kl_coef", "0.01"), "algorithm.use_kl_in_reward") is True
    assert get(filled("--kl_coef", "0"), "algorithm.use_kl_in_reward") is False
    assert get(filled(f"{ACTOR}.use_kl_loss=true"), "algorithm.use_kl_in_reward") is False


@pytest.mark.parametrize(
    ("typed", "steps"),
    [
        (("--epochs", "2", "--steps", "500"), 64),
        (("--epochs", "2", "--steps", "5"), 5),
        (("--steps", "500"), 500),
        (("--epochs", "3"), 96),
        (("--recipe", "cpu_demo", "--epochs", "1"), 32),
        (("--recipe", "cpu_demo"), 60),
    ],
)
def test_of_epochs_and_steps_the_smaller_counts(typed: tuple[str, ...], steps: int) -> None:
    verl = filled(*typed, "--batch_size", "128", about=facts(rows=4096))
    assert get(verl, "trainer.total_training_steps") == steps


def test_steps_decide_and_epochs_follow_so_that_the_last_step_saves() -> None:
    verl = filled("--steps", "100", about=facts(rows=1280))
    assert get(verl, "trainer.total_training_steps") == 100
    assert get(verl, "trainer.total_epochs") == 10


def test_tensor_parallel_rollouts_on_the_cpu_run_in_processes_of_their_own() -> None:
    verl = filled("--n_gpus", "2", "--tp_size", "2")
    kwargs = get(verl, "actor_rollout_ref.rollout.engine_kwargs.vllm")
    assert kwargs["distributed_executor_backend"] == "mp"


def test_what_was_given_is_never_changed() -> None:
    typed = {
        "data.train_batch_size": 48,
        f"{ACTOR}.ppo_mini_batch_size": 12,
        "trainer.save_freq": 7,
        "trainer.test_freq": -1,
        "actor_rollout_ref.rollout.max_num_seqs": 5,
        "algorithm.use_kl_in_reward": False,
    }
    words = [f"{key}={str(value).lower()}" for key, value in typed.items()]
    verl = filled(*words)
    assert {key: get(verl, key) for key in typed} == typed


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(["cpu", "gpu"]),
    st.integers(8, 5000),
    st.integers(1, 8),
    st.integers(1, 5),
)
def test_numbers_of_ours_are_accepted_by_our_own_checks(
    hardware: str, rows: int, world: int, n: int
) -> None:
    config = composed(hardware=hardware)
    given = {"trainer.n_gpus_per_node": world, "actor_rollout_ref.rollout.n": n}
    config = fill(config, given)
    verl = fill(config, derive(config.verl, facts(hardware, rows))).verl
    assert ranks(verl) == world
    assert not refused(batch_of(verl), rows)


@pytest.mark.parametrize("steps", [1, 3, 10, 29, 60, 200, 1000])
def test_every_checkpoint_is_validated_where_nothing_else_is_said(steps: int) -> None:
    verl = filled(f"trainer.total_training_steps={steps}")
    assert get(verl, "trainer.save_freq") % get(verl, "trainer.test_freq") == 0
    assert get(verl, "trainer.test_freq") <= get(verl, "trainer.save_freq") < 50 + 20


@pytest.mark.parametrize("every", [1, 7, 30])
@pytest.mark.parametrize("name", ["save_freq", "test_freq"])
def test_the_frequency_that_was_given_decides_the_other(name: str, every: int) -> None:
    verl = filled("trainer.total_training_steps=300", f"trainer.{name}={every}")
    assert get(verl, f"trainer.{name}") == every
    assert get(verl, "trainer.save_freq") % get(verl, "trainer.test_freq") == 0
