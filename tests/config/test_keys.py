"""Keys: every one that verl reads is known, every one that it ignores is refused, and typos end."""

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

from verlaunch.config import keys
from verlaunch.config.compose import compose
from verlaunch.config.flags import load_table, parse
from verlaunch.errors import UserError
from verlaunch.paths import CONFIGS, verl_configs

BASE = compose(parse([], {}), "cpu")
TREE = BASE.verl_defaults | {"verlaunch": BASE.launch}
OUR_YAML = [CONFIGS / "ppo.yaml", *sorted((CONFIGS / "hardware").glob("*.yaml"))]
OUR_YAML += sorted((CONFIGS / "recipe").glob("*.yaml"))


def problems_of(*overrides: str) -> tuple[str, ...]:
    with pytest.raises(UserError) as caught:
        compose(parse(list(overrides), {}), "cpu")
    return caught.value.problems


@pytest.mark.parametrize(
    "key",
    [
        "critic.ppo_infer_max_token_len_per_gpu",  # a field, absent from the YAML
        "critic.fsdp.micro_batch_size_per_gpu",  # an inherited field
        "actor_rollout_ref.rollout.enable_sleep_mode",
        "actor_rollout_ref.actor.checkpoint.save_lora_only",
        "actor_rollout_ref.actor.fsdp_config.mixed_precision.param_dtype",  # a dict's inside
        "actor_rollout_ref.actor.fsdp_config.wrap_policy.transformer_layer_cls_to_wrap",
        "actor_rollout_ref.actor.optim.override_optimizer_config.fused",
        "actor_rollout_ref.model.override_config.attn_implementation",
        "actor_rollout_ref.rollout.engine_kwargs.vllm.swap_space",
        "actor_rollout_ref.rollout.agent.agent_loop_manager_class",
        "trainer.v1.sampler.sampler_kwargs.mine",
        "data.apply_chat_template_kwargs.enable_thinking",
        "data.mm_processor_kwargs.min_pixels",
        "data.cache_dir",
        "reward.reward_kwargs.overlong_buffer_cfg.enable",
        "ray_kwargs.ray_init.runtime_env.env_vars.NCCL_DEBUG",
        "ray_kwargs.ray_init.num_gpus",
        "trainer.total_epochs",
        "verlaunch.val_size",
    ],
)
def test_keys_that_are_read_are_known(key: str) -> None:
    assert keys.unknown(key, TREE) is None


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("actor_rollout_ref.actor.optim.rl", "actor_rollout_ref.actor.optim.lr"),
        ("actor_rollout_ref.rollout.temprature", "actor_rollout_ref.rollout.temperature"),
        ("actor_rollout_ref.rollout.engine_kwargs.vlm.seed", None),
        ("critic.fsdp_config.param_offload", "critic.fsdp.param_offload"),
        ("critic.ppo_infer_max_token_len", "critic.ppo_infer_max_token_len_per_gpu"),
        ("trainer.total_epoch", "trainer.total_epochs"),
        ("data.train_batchsize", "data.train_batch_size"),
        ("verlaunch.output", "verlaunch.output_dir"),
        ("trainer.v1.sync.anything", None),
        ("trainer.total_epochs.deeper", None),
        ("hydra.run.dir", None),
    ],
)
def test_keys_that_nobody_reads_stop_with_the_closest(typed: str, meant: str | None) -> None:
    problem = keys.unknown(typed, TREE)
    assert problem is not None
    assert problem.startswith(f"{typed} is not a key.")
    assert meant is None or f"Did you mean {meant}?" in problem


def test_every_key_of_verls_own_yaml_is_known() -> None:
    assert [key for key in keys.flatten(BASE.verl_defaults) if keys.unknown(key, TREE)] == []


def test_every_field_is_known_of_every_class_that_the_yaml_names() -> None:
    """The index by name is sound only while no two classes share one."""
    root = verl_configs().parents[1]
    files = [path for pattern in keys.SOURCES for path in root.glob(pattern)]
    bodies = [ast.parse(path.read_text(encoding="utf-8")).body for path in files]
    names = [node.name for body in bodies for node in body if isinstance(node, ast.ClassDef)]
    flat = keys.flatten(BASE.verl_defaults)
    targets = {str(value) for key, value in flat.items() if key.endswith("_target_")}
    assert len(set(names)) == len(names)
    assert {target.rpartition(".")[2] for target in targets} - set(names) == set()


@pytest.mark.parametrize("path", OUR_YAML, ids=lambda path: path.stem)
def test_our_yaml_sets_only_keys_that_exist_and_work(path: Path) -> None:
    tree = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    tree.pop("defaults", None)
    settings = keys.flatten(tree)
    assert [problem for key in settings if (problem := keys.unknown(key, TREE))] == []
    dead = [keys.check_dead(key, value, BASE.verl)[0] for key, value in settings.items()]
    assert [problem for problem in dead if problem] == []


@pytest.mark.parametrize("flag", load_table(), ids=lambda flag: flag.name)
def test_flags_set_live_keys_and_the_first_has_its_default_in_our_yaml(flag: Any) -> None:
    extra = (
        [key for choice in flag.choices.values() for key in choice]
        if flag.name == "offload"
        else []
    )
    assert [problem for key in (*flag.keys, *extra) if (problem := keys.unknown(key, TREE))] == []
    covered = [d.name for d in keys.dead_keys() if not d.refused for k in flag.keys if d.name == k]
    assert covered == []
    ours = [
        yaml.safe_load((CONFIGS / name).read_text()) for name in ("ppo.yaml", "hardware/gpu.yaml")
    ]
    assert not flag.keys or any(flag.keys[0] in keys.flatten(tree) for tree in ours)


def test_the_names_in_the_dead_list_are_verls_and_their_ways_out_work() -> None:
    for dead in keys.dead_keys():
        stem = dead.name.removesuffix(".*")
        assert keys.unknown(stem, TREE) is None, stem
        assert dead.use is None or keys.unknown(dead.use, TREE) is None, dead.use
        assert dead.use is None or dead.use not in [other.name for other in keys.dead_keys()]


@pytest.mark.parametrize("dead", keys.dead_keys(), ids=lambda dead: dead.name)
def test_dead_keys_are_refused_by_name_with_the_way_out(dead: keys.DeadKey) -> None:
    key = dead.name.replace(".*", ".path")
    value = dead.refused[0] if dead.refused else 12345
    problem = keys.check_dead(key, value, BASE.verl)[0]
    assert problem is not None and problem.startswith(f"{key}={value} would not do what it says")
    assert (dead.use or dead.instead or "Leave it out") in problem


def test_a_dead_key_that_asks_for_what_happens_anyway_is_a_sentence() -> None:
    words = ["actor_rollout_ref.ref.fsdp_config.param_offload=true", "+trainer.balance_batch=True"]
    notes = compose(
        parse([*words, "critic.grad_clip=0.5", "--max_grad_norm", "0.5"], {}), "cpu"
    ).notes
    assert len(notes) == 3
    assert "critic.optim.clip_grad holds that value already" in notes[2]


def test_a_dead_key_that_disagrees_with_the_live_one_is_refused() -> None:
    (problem,) = problems_of("critic.grad_clip=0.5")
    assert "Use critic.optim.clip_grad=0.5." in problem


def test_dead_and_unknown_keys_inside_dicts_are_found() -> None:
    problems = problems_of("critic={grad_clip: 3, nonsense: 1}", "trainer={save_freq: -1}")
    assert [problem.split()[0] for problem in problems] == [
        "critic.nonsense",
        "trainer.save_freq=-1",
    ]
