"""Reward models that vLLM runs: heads on the last token of a decoder, batched continuously.

    scorer = PoolingScorer(folder, folder, probe(folder), "auto", gpus=0)
    await scorer.start()
    await scorer.score(Encoded([151644, 872, 198]))    # 3.25, the raw logit

vLLM lives in a child process (vllm_child.py) with an environment of its own. Left out on purpose:
tokenizer and template, which `inputs.py` has applied already, and encoders, which transformers
batches as well.
"""

import asyncio
import itertools
import math
from pathlib import Path

from rewards.models.child import Child
from rewards.models.probe import NOT_TRANSFORMERS, Probe
from rewards.models.scorer import Encoded, Scorer
from rewards.models.vllm_settings import device_of, engine_arguments, environment, text_config
from rewards.part import CannotStart, Failure

ENGINE = "rewards.models.vllm_child"
WAY_OUT = "Run it by transformers instead: --rm_backend transformers."


class PoolingScorer(Scorer):
    """device: auto, cpu or cuda. gpus: cards of its own; 0 shares the first."""

    def __init__(
        self, folder: Path, tokenizer_folder: Path, probe: Probe, device: str, gpus: int
    ) -> None:
        self._folder, self._tokenizer, self._probe = folder, tokenizer_folder, probe
        self._device, self._gpus = device, gpus
        self._child: Child | None = None
        self._reader: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[float]] = {}
        self._numbers = itertools.count()
        self._padding: int | None = None
        self._dead: str | None = None

    async def start(self) -> None:
        """Loads the model. Raises CannotStart."""
        device = device_of(self._device)
        arguments = engine_arguments(self._folder, self._tokenizer, self._probe, device, self._gpus)
        self._padding = text_config(self._folder).get("pad_token_id")
        self._child = Child(ENGINE, environment(device))
        await self._child.start()
        self._child.send({"engine": arguments, "task": self._probe.task})
        answer = await self._child.read()
        if not answer or "error" in answer:
            why = answer["error"] if answer else await self._child.reason()
            await self.close()
            way_out = "" if self._probe.architecture in NOT_TRANSFORMERS else f" {WAY_OUT}"
            raise CannotStart(f"vLLM cannot run {self._folder} ({why}).{way_out}")
        self._reader = asyncio.create_task(self._read(self._child))

    async def _read(self, child: Child) -> None:
        why = "it was closed"
        try:
            while (answers := await child.read()) is not None:
                for answer in answers:
                    self._take(*answer)
            why = await child.reason()
        finally:
            self._give_up(f"vLLM has ended ({why}). Its words are in the log.")

    def _take(self, number: int, value: float | None, refusal: str | None) -> None:
        waiting = self._waiting.pop(number, None)
        if waiting is None or waiting.done():
            return  # its caller was cancelled
        if value is not None:
            waiting.set_result(value)
        else:
            waiting.set_exception(Failure("reward_model", f"vLLM refuses: {refusal}"))

    def _give_up(self, reason: str) -> None:
        self._dead = reason
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(Failure("reward_model", reason, final=True))
        self._waiting.clear()

    async def score(self, encoded: Encoded) -> float:
        """The raw logit. Raises Failure, a final one when vLLM has died."""
        assert self._child, "start comes first"
        if self._dead:
            raise Failure("reward_model", self._dead, final=True)
        number, answer = next(self._numbers), asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        self._child.send([number, self._read_from(encoded.input_ids)])
        try:
            value = await answer
        finally:
            self._waiting.pop(number, None)
        if not math.isfinite(value):
            raise Failure("reward_model", f"the model gave {value}, not a finite number")
        return value

    def _read_from(self, ids: list[int]) -> list[int]:
        """Up to the last token that is not padding, where transformers reads the score too."""
        end = len(ids)
        while end > 1 and ids[end - 1] == self._padding:
            end -= 1
        return ids[:end]

    async def close(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        if self._child is not None:
            await self._child.close()
            self._child = None
