"""The socket for weights: both ends of one run meet there, and no other run's."""

import sys
from types import SimpleNamespace
from unittest import mock

import pytest
import ray

from verlaunch.engine.environment import CPU_METADATA
from verlaunch.engine.rollout import handover

with mock.patch.object(sys, "path", [*sys.path, str(CPU_METADATA)]):
    from verl.workers.rollout.vllm_rollout.utils import vLLMColocateWorkerExtension

VERLS = "ipc:///tmp/rl-colocate-zmq-01000000-replica-0-rank-0.sock"


def on_node(monkeypatch: pytest.MonkeyPatch, node: str) -> tuple[str, str]:
    """Where the trainer's rank writes, and where vLLM's worker reads, in a cluster of one's own."""
    context = SimpleNamespace(get_job_id=lambda: "01000000", get_node_id=lambda: node * 7)
    monkeypatch.setattr(ray, "get_runtime_context", lambda: context)
    monkeypatch.setenv("VERL_RAY_JOB_ID", handover.job())
    monkeypatch.setenv("VERL_REPLICA_RANK", "0")
    monkeypatch.delenv("VERL_ZMQ_BASE_TRAINER_RANK", raising=False)
    worker = SimpleNamespace(model_runner=None, local_rank=0)
    return handover.of_run(VERLS), vLLMColocateWorkerExtension._get_zmq_handle(worker)


def test_two_runs_on_one_machine_have_sockets_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = on_node(monkeypatch, "0a1b2c3d"), on_node(monkeypatch, "9f8e7d6c")
    assert first[0] == first[1] and second[0] == second[1]
    assert first != second
    assert len(first[0].removeprefix("ipc://")) < 100
