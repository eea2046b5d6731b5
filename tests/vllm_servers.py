"""Our vLLM server, where vLLM is the CPU's build: it has another name, which verl does not know.

    from tests.vllm_servers import Server, vLLMHttpServer

A run's workers find the name by their PYTHONPATH (verlaunch/engine/environment.py); here it is
there while verl is imported, and no longer.
"""

import sys
from unittest import mock

from verlaunch.engine.environment import CPU_METADATA

with mock.patch.object(sys, "path", [*sys.path, str(CPU_METADATA)]):
    from verl.workers.rollout.vllm_rollout.vllm_async_server import vLLMHttpServer

    from verlaunch.engine.rollout.server import Server

__all__ = ["Server", "vLLMHttpServer"]
