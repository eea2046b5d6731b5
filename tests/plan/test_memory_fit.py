"""--fit auto, on real configurations and the real estimate; machines are made of numbers."""

import functools
from collections.abc import Mapping
from typing import Any

import pytest

from verlaunch.config.compose import compose, fill
from verlaunch.config.derive import Facts, derive
from verlaunch.config.flags import parse
from verlaunch.config.keys import flatten
from verlaunch.config.tree import Config, get
from verlaunch.plan.memory.docs_table import known_models
from verlaunch.plan.memory.estimate import estimate
from verlaunch.plan.memory.fit import Fit, fit, fits
from verlaunch.plan.memory.knobs import knobs
from verlaunch.plan.memory.memory_keys import (
    CHECKPOINTING,
    KV_CACHE,
    MICRO,
    OFFLOAD,
    TOKENS,
    TP,
    UTILIZATION,
)
from verlaunch.plan.memory.shape import Shape
from verlaunch.plan.memory.use import Use
from verlaunch.text import GIB

HOST = 512 * GIB


@functools.cache
def config_of(*words: str, gpus: int = 1, card_gib: float = 24, hardware: str = "gpu") -> Config:
    """With no number left open, as Start makes it. card_gib: of the machine on the CPU."""
    count = () if any("n_gpus" in word for word in words) else ("--n_gpus", str(gpus))
    config = compose(parse([*words, "--hardware", hardware, *count], {}), hardware)
    facts = Facts(
        hardware, 16, card_gib, 100_000, 151936, "model", "run", "folder", cached_values=24576
    )
    return fill(config, derive(config.verl, facts))


def use_of(config: Config) -> Use:
    return Use.of(config.verl, config.launch, config.hardware)


def fit_in(config: Config, model: str, card_gib: float | None, host: int = HOST) -> Fit:
    card = int(card_gib * GIB) if card_gib else None
    return fit(config, known_models()[model], None, card, host)


def set_by(before: Config, values: Mapping[str, Any]) -> set[str]:
    """Every key that filling changes, those that follow another among them."""
    after = fill(before, values)
    ours = {f"verlaunch.{key}": value for key, value in flatten(before.launch).items()}
    then = {f"verlaunch.{key}": value for key, value in flatten(after.launch).items()}
    old, new = {**flatten(before.verl), **ours}, {**flatten(after.verl), **then}
    return {key for key in new if new[key] != old.get(key)}


def test_defaults_that_fit_stay_as_they_are() -> None:
    found = fit_in(config_of(card_gib=80), "0.5B", 80)
    assert (found.values, found.said, found.gpus) == ({}, (), None)
    assert found.estimate is not None


def test_what_is_chosen_fits_with_the_whole_configuration() -> None:
    # The search estimates on numbers of Use; a run is estimated on the filled configuration.
    for model, card, gpus in (("0.5B", 24, 1), ("3B", 80, 1), ("7B", 80, 4)):
        config = config_of(card_gib=card, gpus=gpus)
        found = fit_in(config, model, card)
        assert found.values, model
        use = use_of(fill(config, found.values))
        real = estimate(known_models()[model], None, use, card * GIB)
        assert real == found.estimate
        assert fits(real, use, card * GIB, HOST)


def test_each_knob_of_the_search_is_the_knob_of_the_configuration() -> None:
    config = config_of("actor_rollout_ref.model.enable_gradient_checkpointing=false", gpus=4)
    on_cpu = config_of(hardware="cpu")
    fixed = config_of("actor_rollout_ref.actor.use_dynamic_bsz=false", card_gib=800)
    for each in (config, on_cpu, fixed):
        before = use_of(each)
        for knob in knobs(known_models()["0.5B"], before):
            for position in knob[1:][-1:]:  # the farthest
                after = use_of(fill(each, position.values))
                changed = {k: v for k, v in vars(after).items() if v != getattr(before, k)}
                said = {k: v for k, v in position.fields.items() if v != getattr(before, k)}
                assert changed == said, position.words


GIVEN = {
    "micro batch": [f"{TOKENS}=1300"],
    "a follower of the micro batch": ["critic.ppo_infer_max_token_len_per_gpu=1300"],
    "micro batch in sequences": [f"{MICRO}=1"],
    "checkpointing": [f"{key}=false" for key in CHECKPOINTING],
    "offload": ["--offload", "none"],
    "offload of the critic alone": ["critic.fsdp.optimizer_offload=false"],
    "utilisation": ["--gpu_memory_utilization", "0.5"],
    "tp": ["--tp_size", "1"],
}


@pytest.mark.parametrize("words", GIVEN.values(), ids=list(GIVEN))
def test_what_was_given_is_never_changed(words: list[str]) -> None:
    config = config_of(*words, gpus=2)
    found = [fit_in(config, model, card) for model in ("1.5B", "3B") for card in (24, 40, 64)]
    assert any(each.values for each in found)
    assert not any(each.values.keys() & config.given for each in found)


def test_keys_that_follow_a_changed_one_stay_where_they_were_given() -> None:
    config = config_of("critic.ppo_infer_max_token_len_per_gpu=1300", gpus=2, card_gib=80)
    found = fit_in(config, "1.5B", 30)
    assert TOKENS in found.values
    assert not set_by(config, found.values) & config.given


def test_what_the_recipe_says_is_never_changed() -> None:
    config = config_of("--recipe", "rl_hand", card_gib=24)
    found = fit_in(config, "1.5B", 24)
    assert not set_by(config, found.values) & config.recipe_keys


def test_every_knob_is_held_by_its_flag() -> None:
    words = [word for words in GIVEN.values() for word in words if word != f"{MICRO}=1"]
    config = config_of(*words, gpus=4)
    found = knobs(known_models()["0.5B"], use_of(config), held=config.given)
    assert all(len(knob) == 1 for knob in found)


def test_fit_never_changes_nothing() -> None:
    assert fit_in(config_of("--fit", "never"), "7B", 24) == Fit({}, ())


def test_seven_billion_on_one_small_card_is_an_honest_no_with_the_number_that_would() -> None:
    found = fit_in(config_of(), "7B", 24)
    assert found.values == {}
    assert found.gpus and found.gpus > 1
    text = " ".join(found.said)
    assert "of 24.0 GiB" in text and f"{found.gpus} GPUs" in text
    larger = fit_in(config_of(gpus=min(8, found.gpus)), "7B", 24)
    assert found.gpus > 8 or not larger.gpus, "with that many it fits"


def test_a_model_beyond_all_machines_says_so() -> None:
    shape = known_models()["72B"]
    found = fit(config_of(card_gib=8), shape, None, 8 * GIB, HOST)
    assert found.gpus is None
    assert "smaller --model" in " ".join(found.said)


def test_a_given_flag_that_is_in_the_way_is_named() -> None:
    config = config_of("--gpu_memory_utilization", "0.9", card_gib=24)
    found = fit_in(config, "0.5B", 24)
    assert found.values == {} or UTILIZATION not in found.values
    if not found.values:
        assert "--gpu_memory_utilization" in " ".join(found.said)


def test_more_memory_never_leads_to_a_costlier_choice() -> None:
    # The numbers worked out from the card stay those of the smallest here.
    order = {"none": 0, "optimizer": 1, "all": 2}
    for model in ("0.5B", "3B", "7B"):
        config, last = config_of(gpus=4), None
        for card in (16, 24, 32, 40, 48, 64, 80, 141):
            found = fit_in(config, model, card)
            if found.estimate is None:
                assert last is None, f"{model} fits on less than {card}"
                continue
            now = order[found.values.get(OFFLOAD, "none")], found.values.get(TP, 1)
            assert last is None or sum(now) <= sum(last), (model, card)
            last = now


def test_little_main_memory_keeps_offload_from_being_chosen() -> None:
    config = config_of(card_gib=24, gpus=2)
    rich, poor = fit_in(config, "1.5B", 24), fit_in(config, "1.5B", 24, 40 * GIB)
    assert rich.estimate is not None
    if poor.estimate is not None:
        assert poor.estimate.host_peak.bytes <= 40 * GIB
    assert poor.values == {} or poor.values.get(OFFLOAD) != "all"


def test_sentences_name_what_was_changed_and_the_phase_that_did_not_fit() -> None:
    found = fit_in(config_of(gpus=4), "3B", 24)
    text = " ".join(found.said)
    names = {
        OFFLOAD: f"--offload {found.values.get(OFFLOAD)} instead of none",
        TP: f"--tp_size {found.values.get(TP)} instead of 1",
        UTILIZATION: f"--gpu_memory_utilization {found.values.get(UTILIZATION)} instead of 0.5",
        TOKENS: f"{TOKENS}={found.values.get(TOKENS)}",
    }
    for key, words in names.items():
        assert (words in text) == (key in found.values), key
    assert "of 24.0 GiB per GPU" in text


def test_on_the_cpu_the_cache_and_the_micro_batch_shrink_with_the_memory() -> None:
    config, shape = config_of(hardware="cpu", card_gib=64), known_models()["0.5B"]
    whole = estimate(shape, None, use_of(config), None).host_peak.bytes
    assert fit(config, shape, None, None, whole + GIB).values == {}
    found = fit(config, shape, None, None, int(whole * 0.98))
    assert found.values.keys() & {TOKENS, KV_CACHE}
    assert get(fill(config, found.values).verl, TOKENS) >= 1024


def test_on_the_cpu_too_little_is_a_no_without_a_number_of_gpus() -> None:
    config, shape = config_of(hardware="cpu"), known_models()["7B"]
    found = fit(config, shape, None, None, 8 * GIB)
    assert found.values == {} and found.gpus is None
    assert "of main memory" in " ".join(found.said)


def test_a_critic_of_its_own_counts() -> None:
    policy, critic = known_models()["0.5B"], known_models()["3B"]
    config = config_of(card_gib=48)
    alone = fit(config, policy, None, 48 * GIB, HOST)
    beside: Shape = critic
    assert alone.values == {} and alone.estimate is not None
    assert fit(config, policy, beside, 48 * GIB, HOST).estimate is None
