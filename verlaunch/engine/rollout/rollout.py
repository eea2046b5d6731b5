"""Agent loops as verl has them, with fewer messages per response.

For each response stock verl pays four Ray calls (acquire a server, generate, release it, score) and
three writes to its queue: about 15 ms whatever the response's length. Here a batch's requests go to
vLLM together (batched_client.py), the reward manager lives in this process, and a batch's rows go
to the trainer's table (queue.py) as the answer to the call that asked for them.
"""

import asyncio
import hashlib
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
import transfer_queue
from tensordict import TensorDict
from verl.experimental.agent_loop.agent_loop import (
    AgentLoopBase,
    AgentLoopOutput,
    DictConfigWrap,
    ToolListWrap,
)
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop
from verl.trainer.ppo.reward import load_reward_manager
from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopManagerTQ, AgentLoopWorkerTQ

from verlaunch.engine import heartbeat
from verlaunch.engine.actors import name_of
from verlaunch.engine.reward.manager import RewardManager, extra_info
from verlaunch.engine.rollout import queue
from verlaunch.engine.rollout.packing import packed, unpacked
from verlaunch.engine.rollout.table import columns_of
from verlaunch.machine import garbage

logger = logging.getLogger(__name__)


def seed_of(
    run: int, step: int, validate: bool, index: int, messages: Sequence[Any], sample: int
) -> int:
    """Of one request: without, vLLM's draws depend on the order in which requests arrive, and the
    same command gives other responses. In [0, 2**63)."""
    said = [dict(message) for message in messages]
    what = repr([run, step, validate, int(index), said, sample])
    return int.from_bytes(hashlib.sha256(what.encode()).digest()[:8], "big") >> 1


@dataclass(frozen=True)
class Parcel:
    """Rows on their way to the trainer's table."""

    partition: str
    keys: list[str]
    columns: dict[str, Any]
    tags: list[dict[str, Any]]


class Outbox:
    """The rows of one batch, until all are there. Every key stands for one row, or for a prompt,
    which has a status and no fields."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = []

    def put(self, partition: str, key: str, fields: Mapping[str, Any], tag: dict) -> None:
        self.rows.append((partition, key, dict(fields), tag))

    def parcels(self) -> list[Parcel]:
        """Rows with the same fields together: they share their columns."""
        groups: dict[tuple, list] = defaultdict(list)
        for row in self.rows:
            groups[(row[0], tuple(sorted(row[2])))].append(row)
        return [
            Parcel(
                partition,
                [row[1] for row in group],
                {name: packed(c) for name, c in columns_of([row[2] for row in group]).items()},
                [row[3] for row in group],
            )
            for (partition, _), group in groups.items()
        ]


class RolloutWorker(AgentLoopWorkerTQ.__ray_actor_class__):  # type: ignore[name-defined]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        queue.install()  # verl's worker opens the queue
        transfer_queue.async_kv_batch_put = self._take
        super().__init__(*args, **kwargs)
        self.manager: RewardManager = load_reward_manager(self.config, self.tokenizer)
        self.outbox = Outbox()
        self.single_turn: AgentLoopBase | None = None
        garbage.freeze()

    async def generate_sequences(self, batch: TensorDict) -> list[Parcel]:
        """The rows of all prompts' responses, and of each prompt whether it is finished."""
        self.outbox = outbox = Outbox()
        await super().generate_sequences(batch)
        await asyncio.gather(*self.background_tasks)
        return outbox.parcels()

    async def _take(
        self, keys: list[str], fields: TensorDict, tags: list[dict], partition_id: str
    ) -> None:
        """What verl's own agent loops, of several turns, write to the queue."""
        for i, key in enumerate(keys):
            row = {name: column[i] for name, column in fields.items()}
            self.outbox.put(partition_id, key, row, tags[i])

    async def _run_prompt(
        self, prompt: dict, sampling_params: dict, trajectory: dict, trace: bool = False
    ) -> None:
        """All responses of one prompt; it is finished then, or failed if one of them did."""
        uid = prompt["uid"]
        validate = trajectory["validate"]
        config = self.config.actor_rollout_ref.rollout
        n = prompt.pop("__rollout_n__", config.val_kwargs.n if validate else config.n)
        if not prompt.pop("__do_sample__", True) and not validate:
            sampling_params = {**sampling_params, "top_p": 1.0, "top_k": -1, "temperature": 0}
        if stops := (config.get("custom") or {}).get("stop_token_ids"):
            sampling_params = {**sampling_params, "stop_token_ids": list(stops)}  # vLLM keeps them
        step = (config.seed, trajectory["step"], validate)
        seeds = [seed_of(*step, prompt["index"], prompt["raw_prompt"], i) for i in range(n)]
        is_drawn = sampling_params["temperature"] > 0
        sessions = [
            self._run_agent_loop(
                {**sampling_params, "seed": seeds[i]} if is_drawn else dict(sampling_params),
                trajectory,
                trace=trace,
                session_id=i,
                **prompt,
            )
            for i in range(n)
        ]
        results = await asyncio.gather(*sessions, return_exceptions=True)
        errors = [result for result in results if isinstance(result, BaseException)]
        for error in errors:
            logger.error("a response could not be made", exc_info=error)
        status = "failure" if errors else "finished"
        self.outbox.put("val" if validate else "train", uid, {}, {"status": status})

    async def _run_agent_loop(
        self, sampling_params: dict, trajectory: dict, *, agent_name: str, **kwargs: Any
    ) -> None:
        if agent_name != "single_turn_agent":
            await super()._run_agent_loop(
                sampling_params, trajectory, agent_name=agent_name, **kwargs
            )
            return
        kwargs.pop("trace", None)
        output = await self._single_turn().run(sampling_params, **kwargs)
        await self._agent_loop_postprocess(output, trajectory["validate"], **kwargs)

    def _single_turn(self) -> AgentLoopBase:
        """One object for all prompts: it keeps nothing between them."""
        if self.single_turn is None:
            try:
                self.single_turn = self._single_turn_of(self.hf_model_type)
            except ValueError:
                # The family's way of joining turns wants tokens that this tokenizer lacks
                # (<|im_end|> for Qwen). A single turn joins nothing.
                self.single_turn = self._single_turn_of(None)
        return self.single_turn

    def _single_turn_of(self, model_type: str | None) -> AgentLoopBase:
        return SingleTurnAgentLoop(
            trainer_config=DictConfigWrap(config=self.config),
            server_manager=self.llm_client,
            tokenizer=self.tokenizer,
            processor=self.processor,
            hf_model_type=model_type,
            dataset_cls=self.dataset_cls,
            data_config=DictConfigWrap(self.config.data),
            tools=ToolListWrap(self.tools),
        )

    async def _compute_score(
        self, outputs: list[AgentLoopOutput], kwargs: dict, validate: bool = False
    ) -> None:
        final = outputs[-1]
        result = await self.manager.score(final.response_ids, kwargs, counts=not validate)
        final.reward_score = result.score
        final.extra_fields["reward_extra_info"] = extra_info(result)
        final.extra_fields["reward_texts"] = result.texts

    async def _agent_loop_postprocess(
        self, output: AgentLoopOutput | list[AgentLoopOutput], validate: bool, **kwargs: Any
    ) -> None:
        """verl's own rows, made without its detours for images and distillation."""
        outputs = output if isinstance(output, list) else [output]
        plain = len(outputs) == 1 and not outputs[0].multi_modal_data
        if not plain or self.distillation_enabled:
            await super()._agent_loop_postprocess(output, validate, **kwargs)
            return
        await self._compute_score(outputs, kwargs, validate)
        heartbeat.beat()
        key, fields, tag = row_of(outputs[0], kwargs)
        self.outbox.put("val" if validate else "train", key, fields, tag)


def row_of(output: AgentLoopOutput, kwargs: dict[str, Any]) -> tuple[str, dict, dict]:
    """Key, fields and tag of one text-only trajectory, as verl's trainer reads them.

    Lengths are in tokens. Source: verl/trainer/ppo/v1/agent_loop_tq.py:166-213.
    """
    import torch

    fields = {**output.as_dict(), **kwargs}
    prompts, responses = fields["prompts"], fields["responses"]
    input_ids = torch.cat([prompts, responses])
    fields["loss_mask"] = fields["response_mask"]
    fields["input_ids"] = input_ids
    fields["position_ids"] = torch.arange(len(input_ids))
    fields["multi_modal_inputs"] = {}
    for name in ("multi_modal_data", "mm_processor_kwargs", "mm_processor_output"):
        fields.pop(name, None)
    tag = {
        "status": "success",
        "prompt_len": len(prompts),
        "response_len": len(responses),
        "seq_len": len(input_ids),
        "global_steps": kwargs["global_steps"],
        "min_global_steps": fields["extra_fields"].get("min_global_steps"),
        "max_global_steps": fields["extra_fields"].get("max_global_steps"),
    }
    return f"{kwargs['uid']}_{kwargs['session_id']}_0", fields, tag


class RolloutManager(AgentLoopManagerTQ):
    """Named by `rollout.agent.agent_loop_manager_class`; uses the shells of the driver."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.asked: list[ray.ObjectRef] = []

    async def _init_agent_loop_workers(self) -> None:
        count = self.rollout_config.agent.num_workers
        self.agent_loop_workers = [ray.get_actor(name_of(index)) for index in range(count)]
        rest = (self.config, self.llm_client, self.teacher_client, self.reward_loop_worker_handles)
        await asyncio.gather(*[worker.begin.remote(*rest) for worker in self.agent_loop_workers])

    def generate_sequences(self, prompts: TensorDict) -> None:
        """Asks the workers, and returns at once; `receive` has their answers."""
        chunks = prompts.chunk(len(self.agent_loop_workers))
        pairs = zip(self.agent_loop_workers, chunks, strict=False)
        self.asked += [worker.generate_sequences.remote(chunk) for worker, chunk in pairs]

    def receive(self, timeout_s: float) -> None:
        """Puts answers into the trainer's table, as soon as there is one."""
        done, self.asked = ray.wait(self.asked, timeout=timeout_s)
        for parcel in (parcel for answer in ray.get(done) for parcel in answer):
            columns = {name: unpacked(column) for name, column in parcel.columns.items()}
            queue.TABLE.put(parcel.keys, parcel.partition, columns, parcel.tags)
