"""Our vLLM server, where vLLM is the CPU's build: it has another name, which verl does not know.

    from tests.vllm_servers import Server, vLLMHttpServer
    without_vllm(monkeypatch)       # Server() starts neither vLLM nor Ray

A run's workers find the name by their PYTHONPATH (verlaunch/engine/environment.py); here it is
there while verl is imported, and no longer.
"""

import sys
from unittest import mock

import pytest

from verlaunch.engine.environment import CPU_METADATA

with mock.patch.object(sys, "path", [*sys.path, str(CPU_METADATA)]):
    from verl.workers.rollout.vllm_rollout.vllm_async_server import vLLMHttpServer

    from verlaunch.engine.rollout.server import Server

from verlaunch.engine import threads
from verlaunch.engine.rollout import handover

__all__ = ["Server", "vLLMHttpServer", "without_vllm"]


def without_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        vLLMHttpServer, "__init__", lambda self: setattr(self, "model_config", None)
    )
    monkeypatch.setattr(threads, "hand_to_vllm", lambda model: None)
    monkeypatch.setattr(handover, "job", lambda: "01000000-of-this-test")
    monkeypatch.setenv("VERL_RAY_JOB_ID", "")  # what a server sets is gone after the test
