"""verl's vLLM worker extension, with weights that can be updated on the CPU.

vLLM packs the weight of every linear layer for its CPU kernels when a model is first loaded, and
drops the original (vllm/model_executor/layers/linear.py:202), so that weights sent later reach
nothing. This replaces that packing by torch's own linear, in this vLLM process only. It is chosen
by `rollout.engine_kwargs.vllm.worker_extension_cls`; `__new__` runs before the model is loaded.
"""

import sys
from typing import Any

import torch
from verl.workers.rollout.vllm_rollout.utils import vLLMColocateWorkerExtension


def _keep_weight(layer: torch.nn.Module, remove_weight: bool) -> None:
    layer.cpu_linear = torch.nn.functional.linear


class CpuWorkerExtension(vLLMColocateWorkerExtension):
    def __new__(cls, **kwargs: Any) -> "CpuWorkerExtension":
        from vllm.model_executor.layers import utils

        utils.dispatch_cpu_unquantized_gemm = _keep_weight
        return super().__new__(cls, **kwargs)

    def _update_weights(self, *arguments: Any, **named: Any) -> None:
        """verl's cleaning up after a refused weight fails by itself and hides vLLM's words."""
        try:
            super()._update_weights(*arguments, **named)
        except Exception as error:
            print(f"vLLM refused a weight: {type(error).__name__}: {error}", file=sys.stderr)
            raise
