"""A reward model run by transformers: one replica per card, or one on the CPU, and one queue.

    scorer = TransformersScorer(folder, tokenizer, probe)
    await scorer.start()
    await scorer.score(Inputs(tokenizer, probe).encode(messages, response))

Left out on purpose: what runs in a batch and when (batching.py), and the forward pass (replica.py).
"""

from pathlib import Path
from typing import Any

from rewards.models.batching import Batcher
from rewards.models.probe import Probe
from rewards.models.replica import Replica
from rewards.models.scorer import Encoded, Scorer
from rewards.part import CannotStart

# Tokens of a batch with its padding. A CPU gains nothing from more, and answers would wait.
CPU_TOKENS, CUDA_TOKENS = 4096, 16_384


def devices(device: str, gpus: int) -> list[str]:
    """gpus: how many cards of its own; 0 shares the first. Raises CannotStart."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "cpu" or (device == "auto" and not count and not gpus):
        return ["cpu"]
    if count < max(1, gpus):
        raise CannotStart(
            f"the reward model should have {max(1, gpus)} cards, and CUDA shows {count}. Use "
            "--rm_device cpu, or fewer --rm_gpus."
        )
    return [f"cuda:{i}" for i in range(max(1, gpus))]


class TransformersScorer(Scorer):
    def __init__(
        self, folder: Path, tokenizer: Any, probe: Probe, device: str = "auto", gpus: int = 0
    ) -> None:
        self._folder, self._probe = folder, probe
        self._padding = getattr(tokenizer, "pad_token_id", None) or 0
        self._device, self._gpus = device, gpus
        self._replicas: list[Replica] = []
        self._batcher: Batcher[Encoded] | None = None

    async def start(self) -> None:
        for device in devices(self._device, self._gpus):
            replica = Replica(self._folder, self._probe, device, self._padding)
            self._replicas.append(replica)
            await replica.load()  # one after another: each passes through memory once
        tokens = CPU_TOKENS if self._replicas[0].device == "cpu" else CUDA_TOKENS
        self._batcher = Batcher(self._replicas, _length, 0 if self._probe.alone else tokens)

    async def score(self, encoded: Encoded) -> float:
        assert self._batcher is not None, "start comes first"
        return await self._batcher.score(encoded)

    def curves(self) -> dict[str, float]:
        if self._batcher is None or not self._batcher.batches:
            return {}
        return {"rm/batch_size_mean": self._batcher.requests / self._batcher.batches}

    async def close(self) -> None:
        if self._batcher is not None:
            await self._batcher.close()
        for replica in self._replicas:
            replica.close()


def _length(encoded: Encoded) -> int:
    return len(encoded.input_ids)
