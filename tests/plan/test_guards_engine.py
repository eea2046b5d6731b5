"""What verl, FSDP and vLLM would refuse minutes into a run is told before it."""

from pathlib import Path

import pytest

from tests.guard_scenes import DEMO, config_of, scene, scene_of, told
from verlaunch.config import keys, recipes
from verlaunch.config.compose import defaults, fill
from verlaunch.plan.guards import (
    fits,
    fsdp_settings,
    named_files,
    schedule,
    values_taken,
    vllm_arguments,
)

SETTINGS = (values_taken, named_files, fsdp_settings, schedule, vllm_arguments)
A, R, M = "actor_rollout_ref.actor", "actor_rollout_ref.rollout", "actor_rollout_ref.model"

# What is typed, and how the sentence begins or what it holds.
STOPPED = [
    (f"{A}.loss_agg_mode=token_mean", "Did you mean token-mean?"),
    (f"{A}.policy_loss.loss_mode=clip-cov", "Did you mean clip_cov?"),
    (f"{A}.policy_loss.loss_mode=dro", f"Add {A}.policy_loss.dro_beta=0.1."),
    ("algorithm.kl_penalty=full", "takes one of kl, k1"),
    ("algorithm.kl_ctrl.type=adaptve", "Did you mean adaptive?"),
    ("algorithm.adv_estimator=remax", "takes one of gae, grpo"),
    ("algorithm.adv_estimator=gaee", "Did you mean gae?"),
    ("algorithm.gamma=2", "takes a number at least 0 and at most 1."),
    ("critic.enable=false", "--adv_estimator reinforce_plus_plus"),
    ("critic.enable=off", "takes true or false."),
    ("critic.enable=0", "takes true or false."),
    (f"{A}.strategy=fsdp", "FSDP1 cannot run on the CPU"),
    ("critic.strategy=megatron", "takes one of fsdp, fsdp2"),
    (f"{A}.fsdp_config.offload_policy=true", "which needs CUDA"),
    (f"{A}.fsdp_config.fsdp_size=0", f"Use {A}.fsdp_config.fsdp_size=1."),
    (f"{A}.fsdp_config.model_dtype=float8", "Did you mean float32?"),
    (f"{A}.ulysses_sequence_parallel_size=2", "flash-attn only, on GPUs"),
    (f"{A}.checkpoint.save_contents=[optimizer,extra]", "lacks model"),
    (f"{A}.checkpoint.save_contents=[model,optimizer,extras]", "Did you mean extra?"),
    (f"{A}.optim.optimizer=Adamw", "Did you mean AdamW?"),
    (f"{A}.optim.optimizer_impl=bitsandbytes_no.optim", "no such module"),
    (f"{A}.optim.betas=[0.9]", "takes two numbers"),
    (f"{A}.optim.lr_scheduler_type=linear", "takes one of constant, cosine."),
    (f"{A}.optim.lr=0", "takes a number above 0."),
    (f"{R}.name=sglang", "takes one of vllm."),
    (f"{R}.temperature=0", "takes a number above 0."),
    (f"{R}.top_p=0", "takes a number above 0 and at most 1."),
    (f"{R}.dtype=fp16", "float16"),
    (f"{R}.pipeline_model_parallel_size=2", "Use --tp_size 2."),
    (f"{R}.data_parallel_size=2", "must divide --n_gpus 1"),
    (f"{R}.expert_parallel_size=2", f"Use {R}.expert_parallel_size=1."),
    (f"{R}.max_num_batched_tokens=64", "which vLLM refuses"),
    (f"{R}.free_cache_engine=true", "vLLM cannot sleep on the CPU"),
    (f"{R}.engine_kwargs.vllm.max_model_length=9", "Did you mean max_model_len?"),
    (f"{R}.engine_kwargs.vllm.max_model_len=16", f"Use {R}.max_model_len=16."),
    (f"{R}.engine_kwargs.vllm.worker_extension_cls=a.b", "the run needs it"),
    (f"{R}.agent.agent_loop_config_path=none.yaml", "no such file"),
    ("data.gen_batch_size=7", "must divide --batch_size"),
    ("data.custom_cls.path=none.py", "data.custom_cls.name is not set"),
    ("trainer.val_before_train=false trainer.val_only=true", "it would train"),
    ("trainer.device=cuda", "--hardware gpu"),
    ("trainer.logger=wanddb", "Did you mean wandb?"),
    ("trainer.rollout_data_dir=/proc/none", "cannot be written"),
    ("trainer.checkpoint_callback_class=nowhere.Callback", "no such module"),
    ("trainer.checkpoint_callback_class=Callback", "package.module.Class"),
    ("trainer.max_actor_ckpt_to_keep=1", "takes a whole number at least 2."),
    (f"{M}.use_liger=true", "liger-kernel"),
    (f"{R}.top_p=0.9 algorithm.rollout_correction.bypass_mode=true", "ratio would be wrong"),
    (f"{M}.external_lib=nowhere", "no such module"),
    (f"{M}.override_config.attn_implementation=spda", "Did you mean sdpa?"),
]


@pytest.mark.parametrize(("typed", "says"), STOPPED, ids=[typed for typed, _ in STOPPED])
def test_a_value_that_the_run_could_not_use_stops_with_one_sentence(typed: str, says: str) -> None:
    found = told(SETTINGS, scene_of(DEMO, *typed.split()))
    assert len(found) == 1
    assert found[0].startswith("STOP")
    assert says in found[0]


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (f"{A}.fsdp_config.model_dtype=bf16", "mostly rounded away"),
        (f"{A}.optim.lr_warmup_steps=1000", "is never reached"),
        (f"{A}.optim.lr_warmup_steps_ratio=1", "lr_warmup_steps_ratio=1, and the run has"),
        (f"{A}.checkpoint.save_contents=[model]", "lacks optimizer, extra"),
        ("trainer.critic_warmup=100000", "is never trained, only the critic"),
        ("algorithm.filter_groups.enable=true algorithm.filter_groups.metric=acc", "metric=reward"),
        (f"{A}.kl_loss_coef=0.1", "the loss has no KL"),
        (f"{R}.top_p=0.9", "probabilities of all"),
        (f"{R}.top_k=50", "top_k=50: responses are drawn from the likeliest tokens"),
        ("algorithm.kl_penalty=k3 --kl_coef 0", "the reward has no KL"),
    ],
)
def test_what_works_and_is_hardly_meant_is_a_warning(typed: str, says: str) -> None:
    found = told(SETTINGS, scene_of(DEMO, *typed.split()))
    assert len(found) == 1
    assert found[0].startswith("WARN")
    assert says in found[0]


def test_estimators_without_a_flag_compare_responses_too() -> None:
    found = told(fits, scene_of(DEMO, "algorithm.adv_estimator=grpo_passk"))
    assert found[0].startswith("STOP algorithm.adv_estimator=grpo_passk compares responses")


@pytest.mark.parametrize("hardware", ["cpu", "gpu"])
def test_the_defaults_are_told_nothing(hardware: str) -> None:
    assert told(SETTINGS, scene_of(DEMO, hardware=hardware)) == []


@pytest.mark.parametrize("recipe", recipes.known_recipes())
def test_no_recipe_is_told_anything(recipe: str) -> None:
    hardware = "cpu" if recipe.startswith("cpu_") else "gpu"
    found = told(SETTINGS, scene_of(DEMO, "--recipe", recipe, hardware=hardware))
    assert [text for text in found if text.startswith("STOP")] == []


@pytest.mark.parametrize(
    "typed",
    [f"{A}.strategy=fsdp", f"{A}.fsdp_config.fsdp_size=2", "algorithm.kl_penalty=low_var_kl+",
     "trainer.test_freq=-1", f"{R}.val_kwargs.n=4", "trainer.logger=console",
     f"{R}.engine_kwargs.vllm.kv_cache_dtype=fp8", f"{R}.data_parallel_size=2"],
)  # fmt: skip
def test_what_works_on_gpus_is_let_through(typed: str) -> None:
    assert told(SETTINGS, scene_of(DEMO, "--n_gpus", "4", typed, hardware="gpu")) == []


def test_sharding_and_sequence_ranks_must_divide_the_ranks() -> None:
    typed = (f"{A}.fsdp_config.fsdp_size=3", "critic.ulysses_sequence_parallel_size=3")
    found = told(SETTINGS, scene_of(DEMO, "--n_gpus", "4", *typed, hardware="gpu"))
    assert f"Use {A}.fsdp_config.fsdp_size=2 or 4." in found[0]
    assert "must divide the 4 ranks and the 4 attention heads" in found[1]


@pytest.mark.parametrize(
    "typed",
    [f"{M}.external_lib=[json,re]",
     f"{R}.agent.default_agent_loop=mine {M}.external_lib=json",
     f"{R}.engine_kwargs.vllm.tool_call_parser=hermes",
     "data.gen_batch_size=1"],
)  # fmt: skip
def test_what_verl_takes_is_let_through(typed: str) -> None:
    assert told(SETTINGS, scene_of(DEMO, *typed.split())) == []


def test_a_class_is_looked_for_in_its_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("class Rows:\n    pass\n")
    typed = [f"data.custom_cls.path={file}", "data.custom_cls.name=Row"]
    (found,) = told(SETTINGS, scene_of(DEMO, *typed))
    assert "has Rows. Did you mean Rows?" in found
    typed[1] = "data.custom_cls.name=Rows"
    assert told(SETTINGS, scene_of(DEMO, *typed)) == []


def test_a_key_that_follows_another_is_told_once() -> None:
    config = fill(config_of((), "cpu"), {f"{A}.clip_ratio": 1.5})
    (found,) = told(SETTINGS, scene(config, DEMO))
    assert "clip_ratio=1.5" in found


def test_every_key_with_a_limit_is_verls() -> None:
    tree = defaults()
    assert [key for key in values_taken.limits() if keys.unknown(key, tree)] == []


def test_vllms_arguments_are_read_from_its_source() -> None:
    assert {"max_model_len", "kv_cache_dtype"} <= vllm_arguments._arguments()
