"""FSDP engines for the CPU, and for NVIDIA cards without flash-attn.

verl registers its FSDP engines for "cuda" and "npu" without a vendor
(workers/engine/fsdp/transformer_impl.py:1143,1594), so the keys "cpu" and ("cuda", "nvidia") are
free for these subclasses (workers/engine/base.py:407). They change six things:

- the value model: verl loads it with flash_attention_2 whatever the configuration says
  (utils/model.py:649). Here it is a `*ForTokenClassification` with the configured attention, and
  its saved config says so, which makes the critic loadable by transformers;
- the frozen reference on the CPU: verl offloads it with pinned memory, which needs CUDA
  (transformer_impl.py:458-463). On the CPU it already is where offloading would put it;
- there is no dropout (dropout.py);
- a new adapter is random, and seeded (transformer_impl.py:368 leaves that to chance);
- an optimizer step can be left out (see updates.py): verl takes one after every backward pass
  (workers/engine/base.py:128);
- the learning rate that is told is the one that was used.
"""

import importlib.util
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from tensordict import NonTensorStack, TensorDict
from verl.utils.device import get_device_name
from verl.workers.engine import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead, FSDPEngineWithValueHead

from verlaunch.engine import heartbeat, threads
from verlaunch.engine.training import dropout, heads, micro_batches

BACKENDS = ["fsdp", "fsdp2"]
BARRIERS = 3  # of a save


def attention(wanted: str | None) -> str:
    """The configured implementation; flash-attn falls back to sdpa where it is not installed."""
    if wanted in (None, "flash_attention_2") and not importlib.util.find_spec("flash_attn"):
        return "sdpa"
    return wanted or "flash_attention_2"


@contextmanager
def as_if(thing: Any, **values: Any) -> Iterator[None]:
    """Attributes of `thing` are other ones for a while."""
    before = {name: getattr(thing, name) for name in values}
    for name, value in values.items():
        setattr(thing, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(thing, name, value)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """New weights are the same in every run and on any number of ranks."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def without_texts(data: TensorDict) -> TensorDict:
    """The batch without its per-row Python objects (prompts, answers, reward parts), which no
    forward pass reads and which cost more to cut into micro batches than all tensors together."""
    rows = [
        key
        for key, value in data.items()
        if isinstance(value, NonTensorStack) and key != "multi_modal_inputs"
    ]
    return data.exclude(*rows)


class WholeSaves:
    """A rank whose disk is full must not leave the others waiting in verl's barriers.

    Every rank meets the others when its folder is made, when its shards are written (verl/utils/
    checkpoint/fsdp_checkpoint_manager.py:save_checkpoint) and when it is done (transformer_impl.py:
    892). One that fails in between goes through what is left of them, and only then tells, so that
    the save can be tried again, on the same processes. To be mixed in before verl's class.
    """

    checkpoint_manager: Any

    def save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        barrier, met = torch.distributed.barrier, 0

        def counted(*args: Any, **kwargs: Any) -> Any:
            nonlocal met
            met += 1
            return barrier(*args, **kwargs)

        torch.distributed.barrier = counted
        try:
            super().save_checkpoint(*args, **kwargs)  # type: ignore[misc]
        except Exception:
            # A whole model is gathered by all ranks together: what is left then are no barriers.
            if not self.checkpoint_manager.should_save_hf_model:
                for _ in range(BARRIERS - met):
                    barrier()
            raise
        finally:
            torch.distributed.barrier = barrier


class _AnyDevice(WholeSaves):
    """What both engines share: attention that exists, no pinned memory without CUDA, optimizer
    steps that can be left out, and a sign of life per micro batch."""

    model_config: Any
    engine_config: Any
    module: Any
    lr_scheduler: Any
    # Asked before each optimizer step, and told of one that verl left out.
    may_step: Callable[[], bool] = staticmethod(lambda: True)
    missed: Callable[[], None] = staticmethod(lambda: None)

    def _build_module(self) -> torch.nn.Module:
        config = self.model_config.hf_config
        config._attn_implementation = attention(config._attn_implementation)
        self.own_noise = dropout.take_out(config)
        module = dropout.silence(super()._build_module())  # type: ignore[misc]
        self.parameters = sum(each.numel() for each in module.parameters())
        return module

    def _build_lora_module(self, module: torch.nn.Module) -> torch.nn.Module:
        with _seeded(self.engine_config.seed):
            return dropout.silence(super()._build_lora_module(module))  # type: ignore[misc]

    def save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        with dropout.put_back(self.module.config, self.own_noise):
            super().save_checkpoint(*args, **kwargs)

    def forward_backward_batch(
        self, data: TensorDict, loss_function: Any, forward_only: bool = False
    ) -> Any:
        threads.use_for_training(self.model_config)
        data = without_texts(data)
        micro_batches.tell_size(data, self.parameters)
        return super().forward_backward_batch(  # type: ignore[misc]
            data, loss_function, forward_only
        )

    def forward_step(self, micro_batch: TensorDict, *args: Any, **kwargs: Any) -> Any:
        heartbeat.beat()
        loss, output = super().forward_step(micro_batch, *args, **kwargs)  # type: ignore[misc]
        micro_batches.weigh(output["metrics"], micro_batch)
        return loss, output

    def optimizer_step(self) -> float | None:
        """The norm of the gradient; None where the step is left out, which verl then leaves out of
        its metrics (engine_workers.py:202)."""
        if not self.may_step():
            return None
        norm = float(super().optimizer_step())  # type: ignore[misc]
        if not math.isfinite(norm):  # then verl takes no step (transformer_impl.py:820)
            self.missed()
        return norm

    def lr_scheduler_step(self) -> float:
        """The learning rate of the step that was taken; verl's is that of the next one, so that the
        curve would never show the first rate, and its last point one that was never used."""
        used = self.lr_scheduler.get_last_lr()[0]
        super().lr_scheduler_step()  # type: ignore[misc]
        return float(used)

    def _build_fsdp_module(self, module: torch.nn.Module) -> torch.nn.Module:
        if get_device_name() != "cpu":
            return super()._build_fsdp_module(module)  # type: ignore[misc]
        with as_if(self.engine_config, forward_only=False):
            return super()._build_fsdp_module(module)  # type: ignore[misc]


@EngineRegistry.register("language_model", BACKENDS, "cpu")
@EngineRegistry.register("language_model", BACKENDS, "cuda", "nvidia")
class LanguageModel(_AnyDevice, FSDPEngineWithLMHead):
    """Actor and reference."""

    def _build_module(self) -> torch.nn.Module:
        module = super()._build_module()
        heads.check(module)
        return module


@EngineRegistry.register("value_model", BACKENDS, "cpu")
@EngineRegistry.register("value_model", BACKENDS, "cuda", "nvidia")
class ValueModel(_AnyDevice, FSDPEngineWithValueHead):
    """Critic: a language model's body with a one-label head per token."""

    def _build_module(self) -> torch.nn.Module:
        config = self.model_config.hf_config
        if not hasattr(config, "hidden_size") and hasattr(config, "text_config"):
            return super()._build_module()
        family = config.architectures[0].split("For")[0]
        config.architectures = [f"{family}ForTokenClassification"]
        config.num_labels = 1
        config.classifier_dropout = 0.0
        config.hidden_dropout = 0.0
        config.summary_dropout_prob = 0.0
        # verl picks the auto class of a "language_model" by the architecture's name, and honours
        # its attention; for a "value_model" it would force flash-attn.
        as_written = as_if(self.model_config, model_type="language_model")
        with as_written, _seeded(self.engine_config.seed):  # the new head is random
            return super()._build_module()
