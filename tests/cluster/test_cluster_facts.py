"""What a machine says of itself on joining, and why two of them do not fit."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

import verlaunch
from tests.cluster_nodes import node
from verlaunch.cluster import facts
from verlaunch.config.compose import compose
from verlaunch.config.flags import parse
from verlaunch.machine import variables


def settings(*words: str) -> dict[str, str]:
    return facts.settings(compose(parse(words, {}), "cpu"))


def test_a_node_survives_the_way_as_json() -> None:
    there = replace(node(1), gpus=["H100", "H100"], problems=["The disk is full."])
    assert facts.Node(**json.loads(json.dumps(asdict(there)))) == there
    assert str(there) == "node 1 (host1, 10.77.0.2)"


def test_machines_that_are_alike_fit() -> None:
    assert facts.why_not(node(0), node(1)) == ""


def test_another_version_is_named_with_what_it_should_be() -> None:
    other = replace(node(1), versions={**node(0).versions, "ray": "2.59.0", "verl": "0.9.0"})
    assert facts.why_not(node(0), other) == (
        "it has ray 2.59.0 instead of 2.60.0, verl 0.9.0 instead of 0.9.1. "
        "Install the same on every machine"
    )


def test_a_package_that_only_one_of_them_has_is_a_difference() -> None:
    with_vllm = {**node(0).versions, "vllm": "0.24.0"}
    without = {name: version for name, version in node(0).versions.items() if name != "ray"}
    assert facts.differences(node(0).versions, with_vllm) == ["vllm 0.24.0 instead of none"]
    assert facts.differences(node(0).versions, without) == ["ray missing instead of 2.60.0"]


def test_other_code_of_ours_is_a_difference() -> None:
    other = replace(node(1), versions={**node(0).versions, facts.CODE: "ffffffffffff"})
    assert "our own code ffffffffffff instead of 000000000000" in facts.why_not(node(0), other)


def test_a_node_that_counts_other_machines_is_told_before_anything_else() -> None:
    other = replace(node(1, nodes=3), versions={"Python": "2.7"})
    assert facts.why_not(node(0), other) == ("it was started with --nnodes 3, and node 0 with 2")


def test_other_settings_are_named_and_the_rest_counted() -> None:
    ours, theirs = settings("--lr", "1e-6"), settings("--lr", "2e-6")
    lr = "--lr is 2e-06 instead of 1e-06"
    assert facts.different_settings(ours, theirs) == [lr]
    many = {f"key{i}": "1" for i in range(5)}
    assert facts.different_settings({}, many) == [
        "key0 is 1 instead of not set", "key1 is 1 instead of not set",
        "key2 is 1 instead of not set", "and 2 more",
    ]  # fmt: skip
    why = facts.why_not(replace(node(0), settings=ours), replace(node(1), settings=theirs))
    assert why == f"its settings are others: {lr}. Type the same command everywhere"


def test_what_is_each_machines_own_business_is_no_difference() -> None:
    ours = settings("--nnodes", "2", "--node_rank", "0", "--master_addr", "10.0.0.1")
    own = ("--node_addr", "10.0.0.2", "--token_file", "/t", "--join_timeout", "1", "--verbose")
    theirs = settings("--nnodes", "2", "--node_rank", "1", "--master_addr", "node-0", *own)
    assert ours == theirs


def test_what_the_others_guards_found_is_its_reason() -> None:
    bad = replace(node(1), problems=["The disk is full.", "Too little memory."])
    assert facts.why_not(node(0), bad) == "The disk is full; Too little memory"


def test_versions_are_those_that_are_installed() -> None:
    found = facts.versions()
    assert {"Python", "ray", "verl", "torch", facts.CODE} <= found.keys()
    assert found[facts.CODE] == facts.code_hash()


def test_our_own_code_counts_by_every_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package, configs = tmp_path / "verlaunch", tmp_path / "configs"
    for file in (package / "__init__.py", tmp_path / "rewards" / "a.py", configs / "ppo.yaml"):
        file.parent.mkdir()
        file.write_text("1")
    monkeypatch.setattr(verlaunch, "__file__", str(package / "__init__.py"))
    monkeypatch.setattr(facts, "CONFIGS", configs)
    seen = {facts.code_hash()}
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "a.pyc").write_text("compiled")
    assert {facts.code_hash()} == seen
    for change in (package / "__init__.py", tmp_path / "rewards" / "a.py", configs / "new.yaml"):
        change.write_text("2")
        assert facts.code_hash() not in seen
        seen.add(facts.code_hash())


def test_variables_of_the_libraries_are_handed_over_and_no_others() -> None:
    handed = {"HF_TOKEN": "hf_1", "HF_HOME": "/hf", "NCCL_DEBUG": "INFO", "VLLM_USE_V1": "1",
              "OMP_NUM_THREADS": "4", "TORCH_LOGS": "+dynamo"}  # fmt: skip
    kept = {"HOME": "/home/me", "PATH": "/bin", "OPENAI_API_KEY": "sk", "WANDB_API_KEY": "w",
            "NCCL_SOCKET_IFNAME": "eth0", "GLOO_SOCKET_IFNAME": "eth0", "NCCL_IB_HCA": "mlx5_0",
            "VLLM_HOST_IP": "10.0.0.1", "VLLM_PORT": "1", "UCX_NET_DEVICES": "mlx5_0",
            "RAY_AUTH_TOKEN": "t", "CUDA_VISIBLE_DEVICES": "0"}  # fmt: skip
    assert variables.to_hand({**handed, **kept}) == handed
