"""verl's vLLM server, which takes many requests in a call and answers with whole responses.

    await server.submit.remote("client", [{"request_id": "1", "prompt_ids": [...], ...}, ...])
    await server.answers.remote("client")     # [("1", TokenOutput), ...] as soon as there are some

verl's server is asked once per response, has vLLM hand it every response anew after each token, and
has the tokens decoded, which nobody reads. Replica starts these servers in the place of verl's; the
runner says so to verl's registry (workers/rollout/replica.py:318).
"""

import asyncio
import multiprocessing
import os
import sys
from collections import defaultdict
from typing import Any

import ray
from verl.workers.rollout.vllm_rollout.vllm_async_server import vLLMHttpServer, vLLMReplica
from vllm.sampling_params import RequestOutputKind
from vllm.v1.engine import utils as vllm_engines

from verlaunch.engine import threads
from verlaunch.engine.fork import spawned
from verlaunch.engine.rollout import handover

GATHER_S = 0.005  # answers that come this soon after another travel with it
POLL_S = 0.5
REFUSED = "vLLM refused"
LAST_WORDS_S = 5.0  # an error of the engine's own reaches the trainer as an answer


class Server(vLLMHttpServer):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        os.environ["VERL_RAY_JOB_ID"] = handover.job()
        threads.hand_to_vllm(self.model_config)
        if spawned.offer():
            vllm_engines.get_mp_context = lambda: multiprocessing.get_context("forkserver")
        self.ready: dict[str, asyncio.Queue] = defaultdict(asyncio.Queue)  # by client
        self.tasks: set[asyncio.Task] = set()

    async def launch_server(self, *arguments: Any, **named: Any) -> None:
        await super().launch_server(*arguments, **named)
        if self.node_rank == 0:
            self.watch = asyncio.create_task(self._end_with_engine())

    async def _end_with_engine(self) -> None:
        """Whoever sends weights to an engine that was killed waits for it for ever
        (workers/rollout/vllm_rollout/bucketed_weight_transfer.py:195); a dead server is seen."""
        while not self.engine.errored:
            await asyncio.sleep(POLL_S)
        await asyncio.sleep(LAST_WORDS_S)
        os._exit(1)

    async def collective_rpc(self, method: Any, *arguments: Any, **named: Any) -> None:
        """A weight or an adapter that vLLM refuses: whoever sends it waits for vLLM to take it
        (workers/rollout/vllm_rollout/bucketed_weight_transfer.py:195), and hears nothing."""
        try:
            await super().collective_rpc(method, *arguments, **named)
        except Exception as error:
            print(f"{REFUSED} {method}: {type(error).__name__}: {error}", file=sys.stderr)
            await asyncio.sleep(LAST_WORDS_S)
            os._exit(1)

    async def generate(
        self, prompt_ids: list[int], sampling_params: dict[str, Any], request_id: str, **named: Any
    ) -> Any:
        whole = {
            "output_kind": RequestOutputKind.FINAL_ONLY,
            "detokenize": bool(sampling_params.get("stop")),
        }
        parameters = {**whole, **sampling_params}
        return await super().generate(prompt_ids, parameters, request_id, **named)

    async def submit(self, client: str, requests: list[dict[str, Any]]) -> None:
        """Requests: arguments of `generate`; request_id names the answer."""
        for request in requests:
            task = asyncio.create_task(self._answer(client, request))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _answer(self, client: str, request: dict[str, Any]) -> None:
        try:
            answer = await self.generate(**request)
        except Exception as error:  # it is the caller's
            answer = error
        self.ready[client].put_nowait((request["request_id"], answer))

    async def answers(self, client: str) -> list[tuple[str, Any]]:
        """Waits for the first; an answer is a TokenOutput, or the exception instead of one."""
        ready = self.ready[client]
        found = [await ready.get()]
        await asyncio.sleep(GATHER_S)
        while not ready.empty():
            found.append(ready.get_nowait())
        return found


class Replica(vLLMReplica):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.server_class = ray.remote(Server)

    async def sleep(self) -> None:
        """Where servers keep their memory, verl asks each of them and they do nothing
        (vllm_async_server.py:854)."""
        if self.config.free_cache_engine:
            await super().sleep()
