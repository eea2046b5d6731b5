"""What a run is about to do, and what could be seen to go wrong, before anything starts."""

import functools
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rewards.spec import RULES, ModelSpec, PartSpec, RewardSpec
from tests.guard_scenes import scene
from verlaunch.config.compose import compose, fill
from verlaunch.config.derive import Facts, derive
from verlaunch.config.flags import parse
from verlaunch.config.tree import Config, uses_critic, uses_reference
from verlaunch.inputs.data.look import Look
from verlaunch.inputs.models import Model
from verlaunch.machine.hardware import Gpu, Machine
from verlaunch.plan import guards
from verlaunch.plan.asked import Asked
from verlaunch.plan.memory.estimate import Disk, Estimate, Phase
from verlaunch.plan.memory.expected import Memory, Room
from verlaunch.plan.memory.phases import Part
from verlaunch.plan.memory.rows import line
from verlaunch.plan.memory.rows import rows as memory_rows
from verlaunch.plan.memory.use import Use
from verlaunch.plan.outlook import Outlook
from verlaunch.plan.page import differing
from verlaunch.plan.roles import in_one_line, roles
from verlaunch.plan.rows import rows, text
from verlaunch.plan.sizes import Plan, make_plan, processes, steps_of
from verlaunch.text import GIB, row

MODEL = Model("tiny", "Qwen2ForCausalLM", 260, 2048, None, heads=4, head_dim=32)


@functools.cache
def composed(*argv: str, hardware: str = "cpu") -> Config:
    return compose(parse(argv, {}), hardware)


def filled(*argv: str, hardware: str = "cpu", rows: int = 4096) -> tuple[Config, Facts]:
    config = composed(*argv, hardware=hardware)
    facts = Facts(hardware, 2, 24.0, rows, MODEL.vocab_size, MODEL.name, "run", "/c")
    return fill(config, derive(config.verl, facts)), facts


def planned(*argv: str, hardware: str = "cpu") -> Plan:
    return make_plan(*filled(*argv, hardware=hardware))


def outlook(*argv: str, hardware: str = "cpu", gpus: int = 0) -> Outlook:
    config, facts = filled("--output_dir", "/out", *argv, hardware=hardware)
    return Outlook(
        Asked(config, Machine(2, 24.0, (Gpu("NVIDIA Test", 80.0),) * gpus)),
        config,
        model=MODEL,
        look=Look(4096, looked_at=4096, data_sources=Counter(math_reasoning=4096)),
        facts=facts,
        spec=RULES,
        plan=make_plan(config, facts),
    )


def refused(
    *argv: str, hardware: str = "cpu", gpus: int = 0, rows: int = 4096, model: Model = MODEL
) -> list[str]:
    """What the guards say of the numbers."""
    config, _ = filled(*argv, hardware=hardware, rows=rows)
    machine = Machine(2, 24.0, (Gpu("NVIDIA Test", 80.0),) * gpus)
    found = guards.findings(
        guards.NUMBERS, replace(scene(config, model), machine=machine, rows=rows)
    )
    return [finding.text for finding in found]


def early(config: Config) -> list[str]:
    return [finding.text for finding in guards.findings(guards.TYPED, config)]


def test_the_text_says_what_will_run() -> None:
    assert text(outlook()).splitlines() == [
        "  model        tiny (Qwen2ForCausalLM, vocabulary 260)",
        "  hardware     CPU; 1 FSDP rank, 1 rollout replica",
        "  data         4096 training prompts (math_reasoning 4096)",
        "  reward       the rule of its data_source: math_reasoning by math_reasoning",
        "  batch        128 prompts x 1 response; 2 mini batches of 64 prompts, packed by tokens;",
        "               1 PPO epoch: 2 optimizer steps per step",
        "  length       32 steps, 32 per epoch; validation every 4 steps, checkpoint every 8",
        "  algorithm    gae, gamma 1.0, lambda 0.95, critic lr 1e-05, actor lr 1e-06, KL 0.001 in",
        "               the reward",
        "  roles        actor, critic and reference on rank 0, rollouts by 1 vLLM replica",
        "  output       /out",
    ]  # fmt: skip


def test_processes_are_counted_beside_rays_own() -> None:
    # launcher, guardian, driver, trainer, rollout worker, vLLM's server and engine, and the ranks
    assert processes(filled()[0].verl) == 7 + 1
    assert processes(filled("--n_gpus", "2")[0].verl) == 7 + 2 + 2


def test_steps_count_the_validations_and_checkpoints_of_the_last_step() -> None:
    words = ("--steps", "10", "trainer.test_freq=4", "trainer.save_freq=8")
    config, facts = filled(*words)
    steps = steps_of(config.verl, facts)
    # 0, 4, 8 and 10; 8 and 10
    assert (steps.validations, steps.checkpoints, steps.epochs, steps.per_epoch) == (4, 2, 1, 32)
    config, facts = filled("trainer.test_freq=-1")
    assert steps_of(config.verl, facts).validations == 0


def test_a_plan_without_problems_has_none() -> None:
    assert refused() == []
    assert refused(hardware="gpu", gpus=1) == []


def test_ray_gets_the_logical_cpus_that_verl_waits_for() -> None:
    # 3 per rank, 1 for the trainer and each rollout worker, and 1 for a server to be placed
    assert planned("--n_gpus", "2").ray_cpus >= 3 * 2 + 1 + 1 + 1
    assert planned("--n_gpus", "2").ray_gpus == 2


def test_the_object_store_stays_within_a_fifth_of_the_memory() -> None:
    long = ("--max_response_length", "1500", "--batch_size", "4096")
    assert planned(*long).object_store_bytes == int(24 * 2**30 / 5)
    assert planned("--batch_size", "8").object_store_bytes == 200 * 2**20


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("--batch_size", "5000"), "--batch_size 5000 is larger than the 4096 training prompts"),
        (("--batch_size", "64", "--mini_batch_size", "48"), "Use --mini_batch_size 32 or 64."),
        (("--n_gpus", "2", "--batch_size", "33"), "Use --batch_size 32 or 34."),
        (("--tp_size", "3"), "--tp_size 3 must divide --n_gpus 1"),
        (("--max_response_length", "1600"), "= 2112, but tiny has 2048 positions."),
        (("--adv_estimator", "grpo"), "Use --rollout_n 4."),
        (("actor_rollout_ref.rollout.max_model_len=100",), "(1024). Leave it out."),
        (("actor_rollout_ref.actor.ppo_max_token_len_per_gpu=100",), "(1024). Leave it out."),
        (("critic.ppo_mini_batch_size=48",), "critic.ppo_mini_batch_size=48 does not divide"),
        (("critic.ppo_micro_batch_size_per_gpu=5",), "does not divide the 64 sequences"),
        (("actor_rollout_ref.rollout.log_prob_use_dynamic_bsz=false",), "must be the same"),
    ],
)
def test_each_bad_size_is_one_problem_with_the_way_out(argv: tuple[str, ...], words: str) -> None:
    (problem,) = refused(*argv)
    assert words in problem


def test_several_problems_are_told_together() -> None:
    assert (
        len(refused("--batch_size", "5000", "--tp_size", "3", "--max_response_length", "1600")) == 3
    )


def test_more_gpus_than_there_are_is_a_problem() -> None:
    (problem,) = refused("--n_gpus", "8", hardware="gpu", gpus=2)
    assert "this machine shows 2 GPUs" in problem and "Use --n_gpus 2." in problem
    (problem,) = refused(hardware="gpu", gpus=0)
    assert "--hardware cpu" in problem


def test_a_reward_model_with_a_card_of_its_own_needs_one_more() -> None:
    words = ("--reward_model", "a/b", "--rm_gpus", "1")
    assert refused(*words, hardware="gpu", gpus=2) == []
    assert planned(*words, hardware="gpu").ray_gpus == 2
    (problem,) = refused(*words, hardware="gpu", gpus=1)
    assert "--n_gpus 1 and --rm_gpus 1 add up, but" in problem and "Use --rm_gpus 0." in problem
    (problem,) = refused(*words, "--n_gpus", "4", hardware="gpu", gpus=4)
    assert "Use --n_gpus 3." in problem
    (problem,) = refused(*words, "--n_gpus", "8", hardware="gpu", gpus=2)
    assert problem.startswith("--n_gpus 8, but this machine shows 2 GPUs")
    (problem,) = refused(*words)
    assert problem == "--rm_gpus 1: on the CPU there are no GPUs. Leave it out."
    (problem,) = refused(*words, "--rm_device", "cpu", hardware="gpu", gpus=2)
    assert "--rm_gpus 1 and --rm_device cpu exclude each other." in problem
    (problem,) = refused("--reward_model", "a/b", "--rm_device", "cuda")
    assert "--rm_device cuda, but this machine shows no GPU" in problem


def test_vllm_splits_attention_heads_evenly() -> None:
    fourteen = replace(MODEL, heads=14)
    (problem,) = refused("--n_gpus", "4", "--tp_size", "4", hardware="gpu", gpus=4, model=fourteen)
    assert "the 14 attention heads of tiny. Use --tp_size 1 or 2." in problem


def test_heads_that_vllm_cannot_compute_on_the_cpu_are_refused_there_only() -> None:
    small = replace(MODEL, head_dim=16)
    (problem,) = refused(model=small)
    assert "attention heads of 16; on the CPU vLLM takes 32, 64" in problem
    assert refused(model=small, hardware="gpu", gpus=1) == []


@pytest.mark.parametrize("estimator", ["gae", "grpo", "rloo", "reinforce_plus_plus"])
def test_the_critic_follows_the_estimator(estimator: str) -> None:
    verl = composed("--adv_estimator", estimator).verl
    assert uses_critic(verl) is (estimator == "gae")


def test_without_kl_there_is_no_reference_model() -> None:
    config = composed("--kl_coef", "0")
    facts = Facts("cpu", 2, 24.0, 100, 260, "m", "r", "/c")
    assert not uses_reference(fill(config, derive(config.verl, facts)).verl)


def test_differences_are_written_as_they_would_be_typed() -> None:
    lines = differing(composed("--lr", "1e-5"))
    assert "actor_rollout_ref.actor.optim.lr=1.0e-05" in lines
    assert "data.train_files=null" in lines
    assert "actor_rollout_ref.rollout.enforce_eager=true" in lines


def test_long_rows_are_wrapped_beside_their_label() -> None:
    text = row("note", "word " * 40)
    first, *rest = text.splitlines()
    assert first.startswith("  note         word") and max(map(len, [first, *rest])) <= 88
    assert all(line.startswith(" " * 15 + "word") for line in rest)


@pytest.mark.parametrize(
    ("word", "problem"),
    [
        ("data.train_batch_size=0", "data.train_batch_size=0: takes a whole number of at least 1."),
        ("data.train_batch_size=1.5", "data.train_batch_size=1.5: takes a whole number"),
        ("actor_rollout_ref.rollout.n=-1", "actor_rollout_ref.rollout.n=-1: takes"),
        ("trainer.n_gpus_per_node=null", "trainer.n_gpus_per_node=null: takes"),
        ("data.train_files=a.parquet", "data.train_files is set by the launcher. Use --data."),
        ("trainer.default_local_dir=/x", "Use --output_dir."),
        ("trainer.resume_mode=disable", "Use --resume."),
    ],
)
def test_sizes_and_paths_typed_as_verl_keys_are_checked_too(word: str, problem: str) -> None:
    (found,) = early(composed(word))
    assert problem in found


def test_open_sizes_are_no_problem() -> None:
    assert early(composed()) == []
    assert early(composed("data.train_batch_size=null")) == []


def test_a_plan_is_plain_data() -> None:
    plan: Any = planned()
    with pytest.raises(AttributeError):
        plan.ray_cpus = 3


# ---- roles --------------------------------------------------------------------------------------


def placed(*argv: str, hardware: str = "gpu", nodes: int = 1) -> dict[str, str]:
    config, _ = filled(*argv, hardware=hardware)
    config = fill(config, {"trainer.nnodes": nodes})
    return {role.name: role.says for role in roles(config, None)}


def test_eight_gpus_hold_shards_of_actor_and_critic_and_four_replicas() -> None:
    assert placed("--n_gpus", "8", "--tp_size", "2") == {
        "actor": "8 FSDP shards: GPUs 0-7",
        "critic": "8 FSDP shards: GPUs 0-7",
        "reference": "main memory; its layers visit GPUs 0-7 one after another",
        "rollouts": "4 vLLM replicas of 2 GPUs: GPUs 0-1, 2-3, 4-5, 6-7",
    }


def test_one_gpu_holds_all() -> None:
    found = placed()
    assert found["actor"] == "1 FSDP shard: GPU 0"
    assert found["rollouts"] == "1 vLLM replica: GPU 0"


def test_nodes_are_told_once() -> None:
    found = placed("--n_gpus", "4", "--tp_size", "4", nodes=2)
    assert found["actor"] == "8 FSDP shards: GPUs 0-3 of each of 2 nodes"
    assert found["rollouts"] == "2 vLLM replicas of 4 GPUs: GPUs 0-3 of each of 2 nodes"


def test_processes_of_several_machines_are_those_of_each() -> None:
    found = placed("--n_gpus", "2", hardware="cpu", nodes=2)
    assert found["actor"] == "4 FSDP shards: processes 0-1 of each of 2 nodes"
    assert found["rollouts"] == "4 vLLM replicas: processes 0, 1 of each of 2 nodes"


def test_the_hardware_is_told_of_each_machine() -> None:
    flags = ("--n_gpus", "8", "--tp_size", "2", "--nnodes", "2")
    hardware = dict(rows(outlook(*flags, hardware="gpu", gpus=8)))["hardware"]
    assert hardware == (
        "8 of 8 GPUs on each of 2 nodes; 16 FSDP ranks, 8 rollout replicas of 2 ranks"
    )
    hardware = dict(rows(outlook("--nnodes", "2")))["hardware"]
    assert hardware == "CPU of each of 2 nodes; 2 FSDP ranks, 2 rollout replicas"


def test_the_reward_models_own_gpus_are_asked_of_node_0_alone() -> None:
    flags = ("--n_gpus", "8", "--nnodes", "2", "--reward_model", "a/b", "--rm_gpus", "2")
    (problem,) = refused(*flags, hardware="gpu", gpus=8)
    assert problem.startswith("--n_gpus 8 and --rm_gpus 2 add up")
    assert planned(*flags, hardware="gpu").ray_gpus == 10
    second = (*flags, "--node_rank", "1")
    assert refused(*second, hardware="gpu", gpus=8) == []
    assert planned(*second, hardware="gpu").ray_gpus == 8


def test_a_replica_has_gpus_of_one_machine_or_all_gpus_of_several() -> None:
    flags = ("--n_gpus", "2", "--nnodes", "2", "--tp_size")
    assert refused(*flags, "2", hardware="gpu", gpus=2) == []
    assert refused(*flags, "4", hardware="gpu", gpus=2) == []
    three = ("--n_gpus", "3", "--nnodes", "2", "--batch_size", "36", "--mini_batch_size", "36")
    (problem,) = refused(*three, "--tp_size", "2", hardware="gpu", gpus=3)
    assert problem == (
        "--tp_size 2 must divide --n_gpus 3 on each of 2 machines and the 4 attention heads of "
        "tiny. Use --tp_size 1."
    )


def test_a_rank_among_one_machine_is_a_mistake() -> None:
    (problem,) = early(composed("--node_rank", "1"))
    assert "--nnodes N" in problem
    assert early(composed("--node_rank", "1", "--nnodes", "2")) == []


def test_a_role_that_is_not_there_is_not_told() -> None:
    assert placed("--adv_estimator", "grpo", "--rollout_n", "4", "--kl_coef", "0").keys() == {
        "actor", "rollouts",
    }  # fmt: skip
    assert placed("--lora_rank", "8")["reference"] == "the actor without its adapter"


def test_the_replicas_of_all_ranks_are_in_the_data() -> None:
    config, _ = filled("--n_gpus", "4", "--tp_size", "2", hardware="gpu")
    by_name = {role.name: role for role in roles(config, None)}
    assert by_name["rollouts"].groups == ((0, 1), (2, 3))
    assert by_name["critic"].ranks == (0, 1, 2, 3)


@pytest.mark.parametrize(
    ("own", "where"),
    [
        ({}, "GPU 0, beside the trainer"),
        ({"gpus": 1}, "GPU 0, its own"),
        ({"gpus": 2}, "GPUs 0-1, its own"),
        ({"device": "cpu"}, "the CPU"),
        ({"url": "http://127.0.0.1:8000"}, "a server of yours"),
    ],
)
def test_a_reward_model_has_a_place(own: dict[str, Any], where: str) -> None:
    part = PartSpec("rm_score", ModelSpec("a/b", **own))
    config, _ = filled("--n_gpus", "2", hardware="gpu")
    *_, role = roles(config, RewardSpec((part,), {"rm_score": 1.0}))
    assert (role.name, role.says) == ("rm_score", where)


def test_roles_in_one_line_share_their_place() -> None:
    config, _ = filled("--n_gpus", "2", hardware="gpu")
    assert in_one_line(roles(config, None)) == (
        "actor and critic on GPUs 0-1, reference in main memory, rollouts by 2 vLLM replicas"
    )


# ---- memory -------------------------------------------------------------------------------------

GPU = (
    Phase("generation", (Part("KV cache", 10 * GIB), Part("actor weights", 2 * GIB))),
    Phase("actor update", (Part("optimizer", 12 * GIB), Part("logits", 6 * GIB))),
)
HOST = (Phase("start", (Part("reference", 30 * GIB),)),)
ESTIMATE = Estimate(GPU, HOST, 2 * 10**9, Disk(6 * 10**9, 4, 10**9), kv_tokens=4096)
ROOM = Room(24 * GIB, 128 * GIB, 300 * 10**9, 12 * 10**9)


def test_memory_in_one_line_names_the_peak() -> None:
    assert line(Memory(ROOM, ESTIMATE)) == (
        "about 18.0 GiB of 24.0 GiB per GPU (actor update), 30.0 GiB of 128.0 GiB of main "
        "memory, checkpoints 25.0 GB of 300.0 GB free"
    )
    assert line(Memory(ROOM, note="no such model")) == ""


def test_memory_in_rows_has_the_parts_of_the_peak_and_the_other_phases() -> None:
    config, _ = filled()  # 512 tokens of prompt, 512 of response
    use = Use.of(config.verl, config.launch, "cpu")
    assert memory_rows(Memory(ROOM, ESTIMATE, use)) == [
        ("per GPU", "actor update 18.0 GiB of 24.0 GiB: optimizer 12.0 GiB, logits 6.0 GiB"),
        ("", "generation 12.0 GiB"),
        ("main memory", "start 30.0 GiB of 128.0 GiB: reference 30.0 GiB"),
        ("KV cache", "4,096 tokens in each vLLM replica: 4 sequences of full length at the same "
                     "time"),
        ("/dev/shm", "2.0 GB of 12.0 GB free"),
        ("disk", "4 checkpoints of 6.0 GB at the same time + the final model 1.0 GB = 25.0 GB of "
                 "300.0 GB free"),
    ]  # fmt: skip


def test_memory_that_is_not_known_is_a_note() -> None:
    assert memory_rows(Memory(ROOM, note="no such model")) == [("note", "no such model")]


def test_the_room_of_a_machine_is_its_smallest_card(tmp_path: Path) -> None:
    two = Machine(8, 64.0, (Gpu("big", 80.0), Gpu("small", 24.0)))
    assert Room.of(two, "gpu", (tmp_path, None)).gpu == 24 * GIB
    assert Room.of(two, "cpu", (tmp_path, None)).gpu is None
    assert Room.of(two, "cpu", (tmp_path / "not" / "yet", 1)).disk > 0
