"""From request to configuration: precedence, recipes, quoting, and what verl gets."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import hydra
import pytest
import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from omegaconf.errors import InterpolationKeyError

from tests import composed_once
from verlaunch.config import overrides
from verlaunch.config.compose import VERL, compose, differences, fill, to_yaml
from verlaunch.config.flags import LOADER, Request, load_table, parse
from verlaunch.config.keys import flatten
from verlaunch.config.recipes import known_recipes
from verlaunch.config.tree import Config
from verlaunch.errors import UserError
from verlaunch.paths import verl_configs

LR = "actor_rollout_ref.actor.optim.lr"
NASTY = st.text(st.sampled_from("a1 ,=:$?{}[]()'\"\\#%+~@*é漢\t/.-<>|&!;`^"), max_size=12)
TEXT = NASTY | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
NUMBER = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
LEAF = TEXT | NUMBER | st.booleans() | st.none()
MAPS = st.dictionaries(st.sampled_from(["path", "input"]), TEXT, max_size=2)


def made(*argv: str, env: dict[str, str] | None = None, hardware: str = "cpu") -> Config:
    return compose(parse(argv, env or {}), hardware)


def at(config: Config, key: str) -> Any:
    return flatten({**config.verl, "verlaunch": config.launch})[key]


def problems_of(*argv: str) -> tuple[str, ...]:
    with pytest.raises(UserError) as caught:
        made(*argv)
    return caught.value.problems


@settings(deadline=None)
@given(LEAF | st.lists(LEAF, max_size=3) | st.lists(MAPS, max_size=2))
def test_what_is_quoted_for_hydra_comes_out_as_it_went_in(value: Any) -> None:
    word = overrides.write("key", value)
    tree = OmegaConf.create({"key": overrides.read(word).value})
    assert OmegaConf.to_container(tree, resolve=True) == {"key": value}


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(NASTY.filter(lambda t: t.strip() and "${" not in t), min_size=8, max_size=8))
def test_a_flags_text_reaches_the_configuration_and_verl_unchanged(texts: list[str]) -> None:
    config = compose(Request("run", {"model": texts[0], "data": texts}, {}, ()), "cpu")
    assert at(config, "actor_rollout_ref.model.path") == texts[0]
    assert config.launch["data"] == texts
    verls = as_verl_reads(config.verl)
    assert verls == config.verl
    assert OmegaConf.create(verls).actor_rollout_ref.model.path == texts[0]


def as_verl_reads(tree: dict[str, Any]) -> Any:
    """Through launch.json, the driver and its Runner to TaskRunnerV1.run (main_ppo.py), which
    resolves the tree in place; parts of it are then read again."""
    config = OmegaConf.create(json.loads(json.dumps(tree)))
    OmegaConf.resolve(config)
    return OmegaConf.to_container(config, resolve=True)


def test_no_backslash_keeps_a_reference_a_text_inside_verl() -> None:
    word = overrides.escaped("a ${b}")
    assert OmegaConf.create({"key": word}).key == "a ${b}"
    with pytest.raises(InterpolationKeyError, match="'b' not found"):
        as_verl_reads({"key": word})


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--run_name", "a ${b}"], "--run_name 'a ${b}'"),
        (["--output_dir", "/data/${USER}"], "--output_dir '/data/${USER}'"),
        (["--model", "${HOME}/qwen"], "--model '${HOME}/qwen'"),
        ([r"trainer.experiment_name='a \${b}'"], "trainer.experiment_name 'a ${b}'"),
    ],
)
def test_a_text_that_verl_would_take_for_a_reference_is_refused(
    words: list[str], named: str
) -> None:
    assert any(named in problem and "double quotes" in problem for problem in problems_of(*words))


def test_such_a_text_is_refused_when_it_comes_from_a_folder() -> None:
    with pytest.raises(UserError, match=r"trainer\.default_local_dir '/x/"):
        fill(made(), {"trainer.default_local_dir": "/x/${y}"})


def test_a_judges_prompt_may_hold_one() -> None:
    config = made("--rm_scoring_prompt", "Problem ${x}: {prompt} {response}")
    assert "${x}" in config.launch["rm_scoring_prompt"]


def test_precedence_is_override_flag_variable_recipe_hardware_default(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        "actor_rollout_ref: {actor: {optim: {lr: 1e-3}}, rollout: {dtype: bfloat16}}\n"
    )
    layers = [
        ([f"{LR}=1e-7"], {}, 1e-7),
        (["--lr", "1e-6"], {}, 1e-6),
        ([], {"LEARNING_RATE": "1e-5"}, 1e-5),
        ([f"--recipe={recipe}"], {}, 1e-3),
    ]
    for low in range(len(layers)):
        argv = [word for words, _, _ in layers[low:] for word in words]
        env = {k: v for _, variables, _ in layers[low:] for k, v in variables.items()}
        assert at(made(*argv, env=env), LR) == layers[low][2]
    assert at(made(f"--recipe={recipe}"), "actor_rollout_ref.rollout.dtype") == "bfloat16"
    assert at(made(), "actor_rollout_ref.rollout.dtype") == "float32"
    assert at(made(), LR) == 1e-6


def test_hardware_given_by_flag_or_variable_beats_what_is_there() -> None:
    assert made("--hardware", "gpu").hardware == "gpu"
    assert made(env={"HARDWARE": "gpu"}).verl["trainer"]["device"] == "cuda"
    assert made(hardware="gpu").verl["actor_rollout_ref"]["model"]["path"] == "Qwen/Qwen2.5-0.5B"


def test_each_flag_reaches_all_its_keys() -> None:
    usual = {"int": 3, "float": 0.25, "bool": True, "str": "x", "path": "x", "list": ["x"]}
    table = [flag for flag in load_table() if flag.keys]
    values = {f.name: usual[f.type] if f.type in usual else list(f.choices)[-1] for f in table}
    config = compose(Request("run", values, {}, ()), "cpu")
    reached = {(flag.name, key): at(config, key) for flag in table for key in flag.keys}
    assert reached == {(flag.name, key): values[flag.name] for flag in table for key in flag.keys}
    assert config.given >= {key for _, key in reached}


def test_offload_moves_what_it_says() -> None:
    config = made("--offload", "optimizer")
    for folder in ("actor_rollout_ref.actor.fsdp_config", "critic.fsdp"):
        assert at(config, f"{folder}.optimizer_offload") is True
        assert at(config, f"{folder}.param_offload") is False


def test_one_clip_ratio_moves_both_sides() -> None:
    config = made("actor_rollout_ref.actor.clip_ratio=0.3")
    actor = config.verl["actor_rollout_ref"]["actor"]
    assert (actor["clip_ratio_low"], actor["clip_ratio_high"]) == (0.3, 0.3)


@pytest.mark.parametrize("prefix", ["", "+", "++"])
@pytest.mark.parametrize("key", ["critic.ppo_infer_max_token_len_per_gpu", "trainer.critic_warmup"])
def test_hydras_plus_signs_are_optional(prefix: str, key: str) -> None:
    config = made(f"{prefix}{key}=7")
    assert at(config, key) == 7
    assert key in config.given


def test_a_section_is_set_by_a_mapping_and_the_rest_of_it_stays() -> None:
    config = made("critic={ppo_epochs: 2, optim: {lr: 1e-4}, cliprange_value: ${algorithm.lam}}")
    assert (at(config, "critic.ppo_epochs"), at(config, "critic.optim.lr")) == (2, 1e-4)
    assert (at(config, "critic.cliprange_value"), config.verl["critic"]["shuffle"]) == (0.95, True)


def test_a_key_can_be_deleted() -> None:
    config = made("~actor_rollout_ref.rollout.engine_kwargs.vllm.worker_extension_cls")
    vllm = config.verl["actor_rollout_ref"]["rollout"]["engine_kwargs"]["vllm"]
    assert "worker_extension_cls" not in vllm


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["data.train_batch_sise=4"], "Did you mean data.train_batch_size?"),
        (["data.seed=1,2"], "one run takes one value"),
        (["data.seed='1"], "cannot be read"),
        (["recipe=train_sh"], "--recipe train_sh"),
        (["+recipe=train_sh"], "--recipe NAME"),
        (["critic=megatron_critic"], "critic is a section"),
        (["actor@actor_rollout_ref.actor=megatron_actor"], "set keys"),
        (["model_engine=megatron"], "verlaunch trains with FSDP"),
        (["trainer.use_v1=false"], "V1 trainer"),
        (["trainer.v1.trainer_mode=sync"], "of its own"),
        (["algorithm.use_pf_ppo=true"], "wrong samples"),
        (["transfer_queue.backend.SimpleStorage.total_storage_size=10"], "no queue is started"),
        (["actor_rollout_ref.rollout.router_config_path=my.yaml"], "no load balancer is started"),
        (["custom_reward_function.path=x.py"], "--reward_fn"),
        (["trainer.total_epochs=three"], "takes a number"),
        (["data.shuffle=perhaps"], "takes true or false"),
        (["data.seed=${data.nothing}"], "cannot be worked out"),
        (["verlaunch.stop_kl=abc"], "stop_kl=abc: takes a number above 0, as --stop_kl does."),
        (["verlaunch.grace=-1"], "takes a number of seconds at least 0"),
        (["verlaunch.grace=null"], "takes a number of seconds at least 0"),
        (["verlaunch.stop_on=nan"], "takes a list of nan, reward_constant"),
        (["verlaunch.stop_on=[kll]"], "takes a list of nan, reward_constant"),
        (["verlaunch.run_name=2024"], "takes some text, as --run_name does."),
        (["verlaunch.verbose=1"], "takes true or false"),
        (["verlaunch.rm_gpus=0.5"], "takes a whole number at least 0"),
        (["verlaunch.offload=all"], "sets nothing by itself. Use --offload all."),
        (["~verlaunch.grace"], "Leave this out."),
        (["~data.cache_dir"], "does not compose"),
        (["--recipe", "train_shh"], "rlhf_align, train_sh. Did you mean train_sh?"),
        (["--recipe", "no/such.yaml"], "no such file in"),
    ],
)
def test_mistakes_stop_with_the_way_out(words: list[str], said: str) -> None:
    assert said in problems_of(*words)[0]


def test_a_flag_of_several_machines_is_not_silent_with_one() -> None:
    (note,) = made("--master_port", "3000", "verlaunch.port_range=20000-20999").notes
    assert note.startswith("--master_port, --port_range only count among several machines")
    (note,) = made("--join_timeout", "3").notes
    assert note.startswith("--join_timeout only counts among")
    assert made("--nnodes", "1", "--node_rank", "0").notes == ()
    assert made("--nnodes", "2", "--master_port", "3000").notes == ()


def test_our_own_keys_take_what_their_flags_take() -> None:
    typed = made("verlaunch.grace=5", "verlaunch.stop_kl=0.1", "verlaunch.stop_on=[entropy,kl]",
                 "verlaunch.on_reward_failure=0", "verlaunch.val_size=null")  # fmt: skip
    flags = made("--grace", "5", "--stop_kl", "0.1", "--stop_on", "entropy,kl")
    names = ("grace", "stop_kl", "stop_on", "val_size")
    assert [typed.launch[name] for name in names] == [flags.launch[name] for name in names]


def test_all_mistakes_in_keys_are_told_at_once() -> None:
    assert (
        len(problems_of("data.sed=1", "critic.grad_clip=9", "trainer.total_epochs=x", "a.b=1")) == 4
    )


@pytest.mark.parametrize("hardware", ["cpu", "gpu"])
@pytest.mark.parametrize("recipe", known_recipes())
def test_every_recipe_composes_and_adds_no_key_unknown_to_verl(recipe: str, hardware: str) -> None:
    config = made("--recipe", recipe, "--hardware", hardware)
    assert (config.recipe, config.hardware, config.given) == (recipe, hardware, frozenset())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("actor_rollout_ref: {actor: {optim: {learning: 1}}}", "is not a key"),
        ("critic: {grad_clip: 0.5}", "Use critic.optim.clip_grad=0.5"),
        ("verlaunch: {node_rank: one}", "takes a"),
        ("data: {seed: 1, seed: 2}", "cannot be read as YAML"),
        ("data: [", "cannot be read as YAML"),
        ("- a", "a recipe is a mapping"),
        ("trainer: {total_epochs: many}", "takes a number"),
        ("defaults: [nothing]", "does not compose"),
    ],
)
def test_a_recipe_of_ones_own_is_checked_like_a_command(
    tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "my recipe.yaml"
    path.write_text(text)
    assert said in problems_of("--recipe", str(path))[0]


def test_a_recipe_of_ones_own_may_start_from_ours(tmp_path: Path) -> None:
    path = tmp_path / "my recipe é.yaml"
    path.write_text("# @package _global_\ndefaults: [train_sh]\ndata: {train_batch_size: 48}\n")
    config = made("--recipe", str(path))
    assert config.verl["data"]["train_batch_size"] == 48
    assert "data.train_batch_size" in config.recipe_keys
    assert config.recipe == str(path)


def test_filled_values_reach_the_keys_that_follow_them() -> None:
    config = made("critic.use_dynamic_bsz=false", "--rm_system_prompt", "a ${b}")
    filled = fill(config, {"actor_rollout_ref.actor.use_dynamic_bsz": True})
    assert at(filled, "actor_rollout_ref.rollout.log_prob_use_dynamic_bsz") is True
    assert at(filled, "actor_rollout_ref.ref.log_prob_use_dynamic_bsz") is True
    assert at(filled, "critic.fsdp.use_dynamic_bsz") is False
    assert filled.launch["rm_system_prompt"] == "a ${b}"
    assert at(config, "actor_rollout_ref.actor.use_dynamic_bsz") is None


def test_differences_name_verls_default_and_ours() -> None:
    pairs = differences(made("--lr", "1e-5"))
    assert pairs[LR] == (1e-6, 1e-5)
    assert pairs["algorithm.lam"] == (1.0, 0.95)
    assert "algorithm.gamma" not in pairs


def test_verl_gets_its_own_tree_and_the_yaml_shows_ours_too() -> None:
    config = made("--run_name", "günther")
    assert set(config.verl) == set(config.verl_defaults)
    shown = yaml.safe_load(to_yaml(config))
    assert shown == {"verlaunch": config.launch, **config.verl}


def test_verls_tree_is_what_hydra_composes_from_its_parts() -> None:
    with hydra.initialize_config_dir(str(verl_configs()), version_base=None):
        parts = hydra.compose("ppo_trainer")
    tree = OmegaConf.to_container(parts)
    assert tree.pop("model_engine") == "dp"  # it chose the parts, and verl reads it nowhere else
    assert tree == yaml.load((verl_configs() / VERL).read_text(), LOADER)


@pytest.mark.parametrize("recipe", known_recipes())
def test_the_tests_get_from_hydra_what_a_start_gets(
    recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--recipe", recipe, "--lr", "1e-5", "--model", "it's, {all}", "critic={ppo_epochs: 2}",
             "~actor_rollout_ref.rollout.engine_kwargs.vllm.worker_extension_cls"]  # fmt: skip
    quick = made(*words)
    monkeypatch.setattr(ConfigLoaderImpl, "_load_configuration_impl", composed_once.whole)
    assert made(*words) == quick


def test_composing_imports_neither_torch_nor_verl() -> None:
    code = (
        "import sys; from verlaunch.config.flags import parse;"
        "from verlaunch.config.compose import *;"
        "differences(compose(parse(['critic.ppo_infer_max_token_len_per_gpu=3'], {}), 'gpu'));"
        "print(sorted({'torch', 'verl', 'ray', 'transformers'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
