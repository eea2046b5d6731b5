"""The recipes of the project: their numbers, their CPU variants, and whose reward counts."""

import functools
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.guard_scenes import scene
from verlaunch.cli import main
from verlaunch.config.compose import compose, fill
from verlaunch.config.derive import Facts, derive
from verlaunch.config.flags import parse
from verlaunch.config.keys import flatten
from verlaunch.config.recipes import cpu_variants, find_recipe, known_recipes
from verlaunch.config.tree import Config
from verlaunch.errors import UserError
from verlaunch.inputs.choice import DEMO, Inputs, tell_demo, with_demo
from verlaunch.inputs.models import Model
from verlaunch.paths import CONFIGS
from verlaunch.plan import guards
from verlaunch.plan.reward.spec import reward_spec

ACTOR = "actor_rollout_ref.actor"
MODEL = "actor_rollout_ref.model.path"
QWEN = Model("Qwen/Qwen2.5-0.5B", "Qwen2ForCausalLM", 151936, 32768, None, 14, 64, 12288)
TRAIN_SH = {
    "algorithm.adv_estimator": "gae",
    "algorithm.gamma": 1.0,
    "algorithm.lam": 0.95,
    "algorithm.kl_ctrl.kl_coef": 0.001,
    "algorithm.kl_ctrl.target_kl": None,
    "algorithm.use_kl_in_reward": True,
    f"{ACTOR}.clip_ratio": 0.2,
    f"{ACTOR}.ppo_epochs": 1,
    f"{ACTOR}.optim.lr": 1e-6,
    f"{ACTOR}.optim.clip_grad": 1.0,
    f"{ACTOR}.entropy_coeff": 0,
    f"{ACTOR}.use_kl_loss": False,
    "critic.ppo_epochs": 1,
    "critic.optim.lr": 1e-5,
    "critic.optim.clip_grad": 1.0,
    "critic.cliprange_value": 0.5,
    "verlaunch.value_coef": 0.5,
    "verlaunch.whiten_advantages": True,
    "verlaunch.stop_kl": None,
    "verlaunch.save_epochs": False,
    "verlaunch.reward_model": None,
}
NUMBERS: dict[str, dict[str, Any]] = {
    "train_sh": {},
    "rl_hand": {
        "algorithm.gamma": 1.0,
        "algorithm.lam": 1.0,
        "verlaunch.whiten_advantages": False,
        f"{ACTOR}.ppo_epochs": 4,
        "critic.ppo_epochs": 4,
        "data.train_batch_size": 4,
        f"{ACTOR}.ppo_mini_batch_size": 4,
        "critic.ppo_mini_batch_size": 4,
        f"{ACTOR}.optim.lr": 1e-6,
        f"{ACTOR}.use_kl_loss": True,
        f"{ACTOR}.kl_loss_coef": 0.01,
        "algorithm.use_kl_in_reward": False,
        f"{ACTOR}.optim.clip_grad": 1.0,
        "critic.optim.clip_grad": 1.0,
        "verlaunch.reward_model": "OpenAssistant/reward-model-deberta-v3-large-v2",
        "verlaunch.save_epochs": True,
    },
    "rlhf_align": {
        "algorithm.kl_ctrl.type": "adaptive",
        "algorithm.kl_ctrl.target_kl": 6.0,
        "algorithm.kl_ctrl.kl_coef": 0.2,
        f"{ACTOR}.ppo_epochs": 4,
        "critic.ppo_epochs": 4,
        f"{ACTOR}.optim.lr": 1e-6,
    },
    "ppo_qwen": {
        MODEL: "Qwen/Qwen2.5-0.5B",
        "algorithm.gamma": 0.99,
        "algorithm.lam": 0.95,
        f"{ACTOR}.entropy_coeff": 0.01,
        "verlaunch.value_coef": 0.5,
        f"{ACTOR}.optim.clip_grad": 0.5,
        "critic.optim.clip_grad": 0.5,
        "verlaunch.stop_kl": 0.01,
        f"{ACTOR}.ppo_epochs": 4,
        "critic.ppo_epochs": 4,
        f"{ACTOR}.optim.lr": 1e-5,
        "critic.optim.lr": 1e-5,
        "data.max_prompt_length": 256,
        "data.max_response_length": 256,
        "verlaunch.reward_model": "Skywork/Skywork-Reward-V2-Qwen3-0.6B",
    },
}
# What a CPU variant may change: what is trained, on what, how much of it, and how fast.
OF_A_VARIANT = {
    MODEL,
    "verlaunch.reward_model",
    "data.train_batch_size",
    "data.max_prompt_length",
    "data.max_response_length",
    f"{ACTOR}.ppo_mini_batch_size",
    f"{ACTOR}.optim.lr",
    f"{ACTOR}.optim.lr_scheduler_type",
    "critic.optim.lr",
    "critic.optim.lr_scheduler_type",
    "algorithm.kl_ctrl.horizon",
    "trainer.total_training_steps",
    "trainer.test_freq",
    "trainer.save_freq",
}


@functools.cache
def made(*words: str, hardware: str = "cpu") -> Config:
    """As it would run, up to the numbers that data and machine decide. To be read only."""
    return compose(parse(words, {}), hardware)


def started(*words: str, hardware: str = "cpu") -> Config:
    """The same, as the launcher starts it: perhaps by a CPU variant."""
    request = parse(words, {})
    values = with_demo(request.values, request.overrides, hardware)
    return tell_demo(
        compose(type(request)(request.action, values, {}, request.overrides), hardware)
    )


def filled(config: Config, rows: int = 100) -> Config:
    facts = Facts(config.hardware, 8, 80.0, rows, 151936, "model", "run", "checkpoints")
    return fill(config, derive(config.verl, facts))


def numbers(config: Config) -> dict[str, Any]:
    return flatten({**config.verl, "verlaunch": config.launch})


@pytest.mark.parametrize("name", NUMBERS)
def test_a_recipe_has_the_numbers_it_is_named_for(name: str) -> None:
    found = numbers(filled(made("--recipe", name)))
    wanted = TRAIN_SH | NUMBERS[name]
    assert {key: found[key] for key in wanted} == wanted


@pytest.mark.parametrize("name", NUMBERS)
def test_a_cpu_variant_is_the_same_algorithm_in_another_size(name: str) -> None:
    recipe, variant = (find_recipe(it).settings for it in (name, cpu_variants()[name]))
    changed = {key for key in variant if key not in recipe or recipe[key] != variant[key]}
    more = {f"{ACTOR}.ppo_epochs", "critic.ppo_epochs"} if name == "train_sh" else set()
    assert recipe.keys() <= variant.keys() and changed <= OF_A_VARIANT | more


@pytest.mark.parametrize("hardware", ["cpu", "gpu"])
@pytest.mark.parametrize("name", known_recipes())
def test_every_recipe_is_found_without_fault(name: str, hardware: str) -> None:
    config = filled(made("--recipe", name, "--hardware", hardware))
    seen = replace(scene(config, DEMO if Inputs(config).is_demo else QWEN), rows=100)
    found = guards.findings(guards.TYPED, config) + guards.findings(guards.NUMBERS, seen)
    assert found == []


@pytest.mark.parametrize("name", NUMBERS)
def test_flags_win_over_a_recipe(name: str) -> None:
    words = ("--lr", "3e-5", "--ppo_epochs", "2", "--batch_size", "40", "--max_grad_norm", "0.7",
             "--gamma", "0.9", "--stop_kl", "0.3", "--save_epochs", "false")  # fmt: skip
    for recipe in (name, cpu_variants()[name]):
        found = numbers(filled(made("--recipe", recipe, *words)))
        assert (found[f"{ACTOR}.optim.lr"], found["algorithm.gamma"]) == (3e-5, 0.9)
        assert found[f"{ACTOR}.optim.clip_grad"] == found["critic.optim.clip_grad"] == 0.7
        assert (found["data.train_batch_size"], found[f"{ACTOR}.ppo_epochs"]) == (40, 2)
        assert (found["verlaunch.stop_kl"], found["verlaunch.save_epochs"]) == (0.3, False)
    followers = numbers(filled(made("--recipe", "rl_hand", *words)))
    assert (followers[f"{ACTOR}.ppo_mini_batch_size"], followers["critic.ppo_epochs"]) == (40, 2)


@pytest.mark.parametrize("name", NUMBERS)
def test_without_gpu_model_and_data_a_recipe_runs_as_its_cpu_variant(name: str) -> None:
    config = started("--recipe", name, "--steps", "3")
    assert config.recipe == cpu_variants()[name] and Inputs(config).is_demo
    assert f"the recipe {name} with the CPU demo's tiny model" in config.notes[0]
    assert config.verl["trainer"]["total_training_steps"] == 3
    assert not Inputs(started("--recipe", name, hardware="gpu")).is_demo
    for own in ("--model", "--data"):
        config = started("--recipe", name, own, "mine")
        assert (config.recipe, config.notes) == (name, ()) and not Inputs(config).is_demo


def test_a_recipe_of_ones_own_is_run_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("defaults: [ppo_qwen]\nalgorithm: {lam: 0.9, gamma: 1.0}\n")
    config = started("--recipe", str(path))
    found = numbers(config)
    assert (config.recipe, found[MODEL]) == (str(path), QWEN.name)
    assert (found["algorithm.gamma"], found["algorithm.lam"]) == (1.0, 0.9)
    assert found["verlaunch.stop_kl"] == 0.01


def test_a_dry_run_says_that_it_is_the_cpu_variant(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VERLAUNCH_CACHE", str(cache))
    words = ["--hardware", "cpu", "--output_dir", str(tmp_path / "out"), "--dry_run"]
    assert main(["--recipe", "ppo_qwen", *words]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "note neither --model nor --data: this is cpu_ppo_qwen, the recipe ppo_qwen" in shown


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ([], ["rm_score"]),
        (["--reward_fn", "mine.py:score"], ["rule_score"]),
        (["--use_api_reward"], ["judge_score"]),
        (["verlaunch.use_api_reward=true"], ["judge_score"]),
        (["verlaunch.reward_model=null"], ["rule_score"]),
        (["--reward_mix", "rm_score=0.5,rule_score=0.5"], ["rm_score", "rule_score"]),
        (["--rm_url", "http://127.0.0.1:8000"], ["rm_score"]),
    ],
)
def test_a_reward_that_is_named_replaces_the_recipes(
    words: list[str], parts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text("def score(solution_str): return 1.0\n")
    config = made("--recipe", "ppo_qwen", *words)
    spec = reward_spec(filled(config), tmp_path)
    assert sorted(part.name for part in spec.parts) == parts
    replaced = "rm_score" not in parts and "verlaunch.reward_model=null" not in words
    model = NUMBERS["ppo_qwen"]["verlaunch.reward_model"]
    told = f"verlaunch.reward_model={model} of the recipe ppo_qwen gives way to"
    assert any(told in note for note in config.notes) is replaced
    assert config.launch["reward_model"] == (model if "rm_score" in parts else None)


def test_another_reward_model_takes_the_place_of_the_recipes() -> None:
    config = made("--recipe", "rl_hand", "--reward_model", "org/other")
    assert (config.launch["reward_model"], config.notes) == ("org/other", ())


def test_a_recipes_own_mix_stays_whole(tmp_path: Path) -> None:
    path = tmp_path / "mixed.yaml"
    path.write_text(
        "verlaunch: {reward_mix: [rm_score=0.5, rule_score=0.5], reward_model: org/model}\n"
    )
    config = made("--recipe", str(path), "--reward_fn", "mine.py:score")
    assert (config.launch["reward_model"], config.notes) == ("org/model", ())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("verlaunch: {stop_kll: 0.01}", "Did you mean verlaunch.stop_kl?"),
        ("verlaunch: {rm_scale: loud}", "takes one of none, affine"),
    ],
)
def test_keys_of_ours_in_a_recipe_are_checked(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        reward_spec(made("--recipe", str(path)), tmp_path)
    assert said in str(caught.value)


@pytest.mark.parametrize("name", known_recipes())
def test_a_header_says_what_it_trains_and_how_to_start_it(name: str) -> None:
    text = (CONFIGS / "recipe" / f"{name}.yaml").read_text()
    header = text[: re.search(r"^(?!#)", text, re.M).start()]  # type: ignore[union-attr]
    assert header.startswith("# @package _global_\n# ")
    (command,) = re.findall(r"^#   \./train\.sh(.*?)(?:  .*)?$", header, re.M)
    chosen = parse(shlex.split(command), {}).values.get("recipe") or "train_sh"
    assert name in (chosen, cpu_variants()[chosen])
    if name not in cpu_variants():
        # what was seen, where, and when
        assert re.search(r"\b0\.\d+ to \d.* (seconds|minutes) .*seen \d{4}-", header, re.S)


def test_settings_of_an_included_recipe_count_as_the_recipes() -> None:
    settings = find_recipe("cpu_ppo_qwen").settings
    assert (settings["algorithm.gamma"], settings["verlaunch.reward_model"]) == (0.99, None)
