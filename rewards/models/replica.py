"""One copy of a reward model on one device, computing in a thread of its own.

    replica = Replica(folder, probe, "cuda:0", padding=0)
    await replica.load()
    await replica([encoded, encoded])   # [3.1, -0.4]

Left out on purpose: one model over several cards; vLLM does that.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
import transformers

from rewards.models import weights
from rewards.models.armorm import LlamaForRewardModelWithGating
from rewards.models.batching import TooBig
from rewards.models.heads import Qwen2ForRewardModel, readout
from rewards.models.probe import Probe
from rewards.models.profiles import SUFFIX
from rewards.models.refuse import read_config
from rewards.models.scorer import Encoded
from rewards.models.vllm_settings import threads
from rewards.part import CannotStart

OURS = {model.__name__: model for model in (LlamaForRewardModelWithGating, Qwen2ForRewardModel)}
_SHOWN = 300  # characters of a loader's message


def _dtype(probe: Probe, device: str) -> torch.dtype:
    if device == "cpu" or probe.profile.full_precision:
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def _class(probe: Probe) -> Any:
    if probe.architecture in OURS:
        return OURS[probe.architecture]
    is_classifier = probe.architecture.endswith(SUFFIX)
    return (
        transformers.AutoModelForSequenceClassification if is_classifier else transformers.AutoModel
    )


def _attention(folder: Path) -> dict[str, str]:
    """Gemma 2 caps its attention scores, which sdpa leaves out: 0.08 off at 300 tokens."""
    is_capped = read_config(folder).get("attn_logit_softcapping") is not None
    return {"attn_implementation": "eager"} if is_capped else {}


def _load(folder: Path, probe: Probe, device: str) -> Any:
    transformers.utils.logging.disable_progress_bar()  # it would stand between a report's lines
    try:
        model, report = _class(probe).from_pretrained(
            folder,
            dtype=_dtype(probe, device),
            device_map=device,
            **_attention(folder),
            trust_remote_code=probe.trust_remote_code,
            output_loading_info=True,
        )
    except torch.cuda.OutOfMemoryError:
        raise CannotStart(
            f"{folder} does not fit on {device}. Give it cards of its own (--rm_gpus 1), a smaller "
            "model, or --rm_device cpu."
        ) from None
    except Exception as error:  # loaders raise many kinds: files, shapes, packages, own code
        reason = " ".join(str(error).split())[:_SHOWN] or type(error).__name__
        raise CannotStart(f"{folder} does not load as {probe.architecture}: {reason}") from error
    if report["missing_keys"] or report["mismatched_keys"]:
        names = sorted(map(str, [*report["missing_keys"], *report["mismatched_keys"]]))
        raise CannotStart(
            f"{folder} lacks weights of {probe.architecture} ({', '.join(names[:4])}); they would "
            " be random, and so would its scores. Give a reward model that was trained."
        )
    if "score.bias" in report["unexpected_keys"]:  # transformers has none, vLLM adds it
        model.score.bias = torch.nn.Parameter(weights.load(folder)["score.bias"].to(device))
    model.config.use_cache = False  # one pass over each text: keys and values are of no more use
    return model.eval()


class Replica:
    """padding: a token that exists; where it stands, nothing looks."""

    def __init__(self, folder: Path, probe: Probe, device: str, padding: int) -> None:
        self.device, self.dtype = device, _dtype(probe, device)
        self._folder, self._probe, self._padding = folder, probe, padding
        # torch counts threads per thread
        self._thread = ThreadPoolExecutor(1, "reward-model", torch.set_num_threads, (threads(),))
        self._model: Any = None

    async def load(self) -> None:
        """Raises CannotStart."""
        await self._in_thread(self._load)

    async def __call__(self, batch: Sequence[Encoded]) -> list[float]:
        """Raises TooBig."""
        return await self._in_thread(self._forward, batch)

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._model = None

    async def _in_thread(self, function: Any, *arguments: Any) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, function, *arguments)

    def _load(self) -> None:
        self._model = _load(self._folder, self._probe, self.device)
        self._readout = readout(self._model)
        if (own := self._model.config.get_text_config().pad_token_id) is not None:
            self._padding = own  # the places that the model itself takes for padding

    def _forward(self, batch: Sequence[Encoded]) -> list[float]:
        try:
            with torch.inference_mode():
                return self._readout(self._model, self._pad(batch), batch).float().tolist()
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            longest = max(len(each.input_ids) for each in batch)
            raise TooBig(f"{len(batch)} x {longest} tokens, out of memory") from None

    def _pad(self, batch: Sequence[Encoded]) -> dict[str, torch.Tensor]:
        """On the right: what follows an answer changes nothing before it."""
        longest = max(len(each.input_ids) for each in batch)
        padded = {
            "input_ids": [_fill(each.input_ids, longest, self._padding) for each in batch],
            "attention_mask": [_fill([1] * len(each.input_ids), longest, 0) for each in batch],
        }
        if all(each.token_type_ids for each in batch):
            padded["token_type_ids"] = [
                _fill(each.token_type_ids or [], longest, 0) for each in batch
            ]
        return {name: torch.tensor(rows, device=self.device) for name, rows in padded.items()}


def _fill(values: list[int], length: int, value: int) -> list[int]:
    return values + [value] * (length - len(values))
