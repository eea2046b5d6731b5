"""What the plan says of several machines: the classic table, and no number too early."""

from dataclasses import asdict
from typing import Any

from rewards.spec import JudgeSpec, ModelSpec, PartSpec, RewardSpec
from tests.guard_scenes import config_of
from verlaunch.config.tree import Config
from verlaunch.plan.nodes import nodes, rows

RM = RewardSpec((PartSpec("rm_score", ModelSpec("a/b", gpus=2)),), {"rm_score": 1.0})
KNOWN = {0: "10.0.0.9", 1: "10.0.0.10"}
LEADS = "leads: Ray's head, trainer, rollout workers, reward"


def of(*flags: str, hardware: str = "gpu") -> Config:
    return config_of(flags, hardware)


def classic(*flags: str) -> Config:
    return of("--nnodes", "2", "--n_gpus", "8", "--tp_size", "2", *flags)


def test_one_machine_needs_no_map() -> None:
    assert rows(of("--n_gpus", "8"), RM) == ()


def test_the_classic_table_is_in_the_rows() -> None:
    train = "GPUs 0-7: 8 FSDP ranks of actor and critic, 4 vLLM replicas of 2 GPUs"
    led = train.replace("0-7", "2-9", 1)
    own = "GPUs 0-1: rm_score alone"
    assert dict(rows(classic(), RM)) == {
        "node 0": f"{LEADS}; {led}; {own}; main memory: reference",
        "node 1": f"{train}; main memory: reference",
        "numbers": "follow the order of the nodes' addresses, which are known when all have "
                   "joined; compared as text (10.0.0.10 before 10.0.0.2), the first has ranks 0-7 "
                   "and replicas 0-3, the next ranks 8-15 and replicas 4-7",
    }  # fmt: skip


def test_an_own_address_is_shown_and_proves_no_number() -> None:
    found = dict(rows(classic(), RM, {1: "10.0.0.2"}))
    assert found["node 1"].startswith("10.0.0.2; GPUs 0-7: 8 FSDP ranks")
    assert "numbers" in found


def test_numbers_follow_the_text_of_the_addresses_once_all_are_known() -> None:
    found = dict(rows(classic(), RM, KNOWN))
    assert found.keys() == {"node 0", "node 1"}
    assert "10.0.0.9; leads: " in found["node 0"]
    assert "FSDP ranks 8-15 of actor and critic, vLLM replicas 4-7 of 2 GPUs" in found["node 0"]
    assert "FSDP ranks 0-7 of actor and critic, vLLM replicas 0-3 of 2 GPUs" in found["node 1"]


def test_the_head_of_another_cluster_is_not_on_our_node_0() -> None:
    guest = classic("--ray_address", "auto")
    assert dict(rows(guest, None))["node 0"].startswith("leads: trainer, rollout workers, ")


def test_the_map_of_many_machines_is_short() -> None:
    labels = [label for label, _ in rows(of("--nnodes", "64", "--n_gpus", "8"), None)]
    assert labels == ["node 0", "node 1", "node 2", "...", "numbers"]
    labels = [label for label, _ in rows(of("--nnodes", "8", "--n_gpus", "8"), None)]
    assert labels == [*(f"node {rank}" for rank in range(8)), "numbers"]


def test_a_replica_may_lie_over_machines() -> None:
    config = of("--nnodes", "4", "--n_gpus", "2", "--tp_size", "4")
    assert "part of a vLLM replica of 4 GPUs over 2 nodes" in dict(rows(config, None))["node 3"]
    known = {rank: f"10.0.0.{rank + 1}" for rank in range(4)}
    assert "part of vLLM replica 1 of 4 GPUs over 2" in dict(rows(config, None, known))["node 3"]


def test_roles_that_are_not_there_are_not_in_the_map() -> None:
    config = of("--nnodes", "2", "--adv_estimator", "grpo", "--rollout_n", "4", "--kl_coef", "0")
    assert dict(rows(config, None))["node 1"] == "GPU 0: 1 FSDP rank of actor, 1 vLLM replica"
    adapter = dict(rows(of("--nnodes", "2", "--lora_rank", "8"), None))["node 1"]
    assert adapter == "GPU 0: 1 FSDP rank of actor and critic, 1 vLLM replica"


def test_on_the_cpu_processes_hold_the_reference_too() -> None:
    found = dict(rows(of("--nnodes", "2", "--n_gpus", "2", hardware="cpu"), None))
    assert found["node 1"] == (
        "processes 0-1: 2 FSDP ranks of actor, critic and reference, 2 vLLM replicas"
    )


def test_a_judge_or_a_model_beside_the_trainer_has_no_gpus_of_its_own() -> None:
    parts: list[Any] = [JudgeSpec("openai", "m", "s", "p"), ModelSpec("a/b"),
                        ModelSpec("a/b", device="cpu")]  # fmt: skip
    for source in parts:
        spec = RewardSpec((PartSpec("part", source),), {"part": 1.0})
        assert "alone" not in dict(rows(classic(), spec))["node 0"]
        assert nodes(classic(), spec)[0].reward_devices == ()


def test_programs_get_null_for_what_is_not_known_yet() -> None:
    first, second = map(asdict, nodes(classic(), RM, {0: "10.0.0.9"}))
    assert (first["address"], first["devices"], first["reward_devices"]) == (
        "10.0.0.9", tuple(range(2, 10)), (0, 1),
    )  # fmt: skip
    assert second["address"] is second["ranks"] is second["replicas"] is first["ranks"] is None
    assert (second["runs"], second["reward_devices"]) == ((), ())


def test_programs_get_every_number_where_all_is_known() -> None:
    (alone,) = nodes(of("--n_gpus", "4", "--tp_size", "2"), None)
    assert (alone.ranks, alone.replicas) == ((0, 1, 2, 3), (0, 1))
    first, second = nodes(classic(), RM, KNOWN)
    assert (first.ranks, first.replicas) == (tuple(range(8, 16)), (4, 5, 6, 7))
    assert (second.ranks, second.replicas) == (tuple(range(8)), (0, 1, 2, 3))
