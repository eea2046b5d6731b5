"""How many threads a rank gets on the CPU."""

import os

import pytest
import torch

from verlaunch.engine import threads


def test_a_small_model_keeps_one_thread() -> None:
    assert threads.count(hidden_size=128, ranks_here=1) == 1


def test_the_ranks_of_a_machine_share_its_cores() -> None:
    cores = len(os.sched_getaffinity(0))
    assert threads.count(hidden_size=4096, ranks_here=1) == cores
    assert threads.count(hidden_size=4096, ranks_here=2 * cores) == 1


def test_a_rank_computes_with_the_threads_of_its_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", seen.append)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 99)
    monkeypatch.setattr(threads, "get_device_name", lambda: "cpu")
    monkeypatch.setenv("RAY_LOCAL_WORLD_SIZE", "1")
    config = type("Config", (), {"hf_config": type("Qwen2Config", (), {"hidden_size": 896})})
    threads.use_for_training(config)
    monkeypatch.setattr(threads, "get_device_name", lambda: "cuda")
    threads.use_for_training(config)  # nothing: a GPU does the work
    assert seen == [len(os.sched_getaffinity(0))]
