"""A reward model as a part of the reward: raw scores, scaled elsewhere (rewards/scale.py).

    part = ModelPart(ModelSpec("OpenAssistant/reward-model-deberta-v3-large-v2"))
    await part.start()
    await part.score(Row("chat", "Paris.", messages=[{"role": "user", "content": "Capital?"}]))
    # {"score": 2.1, "truncated": 0.0}

The probe chooses what runs it: vLLM, transformers, or a server that already runs.
"""

import asyncio
import time
from collections import deque
from pathlib import Path
from typing import Any

from rewards.models.fetch import fetch, is_local
from rewards.models.inputs import Inputs
from rewards.models.probe import Probe, probe
from rewards.models.refuse import glance
from rewards.models.sanity import check
from rewards.models.scorer import Scorer
from rewards.models.url import UrlScorer
from rewards.models.written import as_written
from rewards.part import CannotStart, Part, Row
from rewards.spec import ModelSpec

KEPT = 4096  # latencies, of which the percentiles are taken
_SHOWN = 300  # characters of a loader's message
INPUTS = {
    "chat": "its chat template",
    "pair": "question and answer as plain text",
    "llama2": "the Llama 2 template",
}


def _percentile(values: list[float], share: float) -> float:
    """The nearest rank. values: sorted, at least one."""
    return values[min(len(values) - 1, round(share * (len(values) - 1)))]


def _load_tokenizer(folder: Path, trusts: bool) -> Any:
    from transformers import AutoTokenizer

    try:
        return as_written(AutoTokenizer.from_pretrained(folder, trust_remote_code=trusts), folder)
    except Exception as error:  # files, packages, own code: as many kinds as for weights
        reason = " ".join(str(error).split())[:_SHOWN] or type(error).__name__
        raise CannotStart(f"the tokenizer in {folder} does not load: {reason}") from error


class ModelPart(Part):
    """With a url nothing is known of lengths there, so there is no `truncated`."""

    def __init__(self, spec: ModelSpec) -> None:
        """Raises CannotStart for a folder that holds no reward model, and for a bad address."""
        self._spec = spec
        self._calls, self._truncated = 0, 0
        self._latencies: deque[float] = deque(maxlen=KEPT)
        self._inputs: Inputs | None = None
        self._scorer: Scorer | None = None
        self._url: UrlScorer | None = None
        self.keys = () if spec.url else ("truncated",)
        names = [name for name in (spec.path, spec.tokenizer) if name]
        found = self._look()[2] if spec.path and all(map(is_local, names)) else None
        if spec.url:
            self._url = UrlScorer(spec.url, found, spec.path)

    def _look(self) -> tuple[Path, Path, Probe]:
        """The folders of the model and of its tokenizer, downloaded if they must, and a probe."""
        spec = self._spec
        assert spec.path is not None, "a reward model without a url has a path"
        if not is_local(spec.path):
            small = fetch(spec.path, weights=False, code=spec.trust_remote_code)
            glance(small, spec.trust_remote_code)
        folder = fetch(spec.path, weights=not spec.url, code=spec.trust_remote_code)
        name = spec.tokenizer
        tokenizer = fetch(name, "--rm_tokenizer", weights=False) if name else folder
        found = probe(
            folder,
            backend=spec.backend,
            device=spec.device,
            max_length=spec.max_length,
            trust_remote_code=spec.trust_remote_code,
            tokenizer=tokenizer,
        )
        return folder, tokenizer, found

    async def start(self) -> list[str]:
        if self._url:
            await self._url.start()
        words = f"at {self._spec.url}" if self._url else await self._start_model()
        good, bad = await check(self._raw)
        notes = [f"reward model {words}; a good answer scored {good:.4g}, a bad one {bad:.4g}"]
        if good < bad:
            notes.append(
                f"reward model: the bad answer scored higher ({bad:.4g}) than the good one "
                f"({good:.4g}). Look at its scores on your data: ./train.sh score"
            )
        return notes

    async def _start_model(self) -> str:
        folder, tokenizer_folder, found = await asyncio.to_thread(self._look)
        tokenizer = _load_tokenizer(tokenizer_folder, self._spec.trust_remote_code)
        self._inputs = Inputs(tokenizer, found)
        self._scorer = self._make_scorer(folder, tokenizer_folder, tokenizer, found)
        await self._scorer.start()
        return (
            f"{self._spec.path}: {found.architecture} by {found.backend}, {INPUTS[found.input]}, "
            f"{found.max_length} tokens"
        )

    def _make_scorer(
        self, folder: Path, tokenizer_folder: Path, tokenizer: Any, found: Probe
    ) -> Scorer:
        device, gpus = self._spec.device, self._spec.gpus
        if found.backend == "vllm":
            from rewards.models.pooling import PoolingScorer

            return PoolingScorer(folder, tokenizer_folder, found, device, gpus)
        from rewards.models.transformers_scorer import TransformersScorer

        return TransformersScorer(folder, tokenizer, found, device, gpus)

    async def score(self, row: Row) -> dict[str, float]:
        began = time.perf_counter()
        found = await self._ask(row)
        self._latencies.append(time.perf_counter() - began)
        self._calls += 1
        self._truncated += int(found.get("truncated", 0))
        return found

    async def _ask(self, row: Row) -> dict[str, float]:
        if self._url is not None:
            return {"score": await self._url.score_messages(row.messages, row.response)}
        assert self._scorer and self._inputs, "start comes first"
        encoded = self._inputs.encode(row.messages, row.response)
        raw = await self._scorer.score(encoded)
        return {"score": raw, "truncated": float(encoded.truncated)}

    async def _raw(self, row: Row) -> float:
        return (await self._ask(row))["score"]

    def curves(self) -> dict[str, float]:
        found = {"rm/calls": float(self._calls)}
        if not self._spec.url:
            found["rm/truncated"] = float(self._truncated)
        if self._latencies:
            ordered = sorted(self._latencies)
            found["rm/latency_p50_s"] = _percentile(ordered, 0.5)
            found["rm/latency_p95_s"] = _percentile(ordered, 0.95)
        return found | (self._scorer.curves() if self._scorer else {})

    async def close(self) -> None:
        for opened in (self._scorer, self._url):
            if opened is not None:
                await opened.close()
