"""The CPU as a verl platform, chosen only when VERL_PLATFORM=cpu says so.

verl asks its platform for a `torch.<device>` module, a Ray resource and a few habits
(verl/plugin/platform/platform_base.py). Ranks are placed as Ray "GPU"s: verl counts no other
resource for its pools (single_controller/ray/base.py:240), so the launcher gives Ray as many
logical GPUs as there are FSDP ranks.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import psutil
import torch
from verl.plugin.platform.platform_base import PlatformBase
from verl.plugin.platform.platform_manager import PlatformRegistry


def _peak_memory(*_: Any) -> int:
    """Bytes of resident memory of this process: the nearest thing to a device's allocation."""
    return psutil.Process().memory_info().rss


def _cpu_device_module() -> ModuleType:
    """`torch.cpu` with the calls of `torch.cuda` that verl's engines, timers and resume make."""
    module = ModuleType("verlaunch_cpu_device")
    module.__dict__.update({name: getattr(torch.cpu, name) for name in torch.cpu.__all__})
    nothing = dict.fromkeys(
        ["synchronize", "empty_cache", "reset_peak_memory_stats", "ipc_collect", "set_device"]
    )
    module.__dict__.update({name: lambda *_, **__: None for name in nothing})
    module.__dict__.update(
        is_available=lambda: True,
        device_count=lambda: 1,
        current_device=lambda: "cpu",
        get_device_name=lambda *_: "cpu",
        get_device_properties=lambda *_: None,
        get_rng_state=lambda *_: torch.get_rng_state(),
        set_rng_state=lambda state, *_: torch.set_rng_state(state),
        manual_seed=torch.manual_seed,
        manual_seed_all=torch.manual_seed,
        memory_allocated=_peak_memory,
        memory_reserved=_peak_memory,
        max_memory_allocated=_peak_memory,
        max_memory_reserved=_peak_memory,
        mem_get_info=lambda *_: (psutil.virtual_memory().available, psutil.virtual_memory().total),
    )
    return module


_DEVICE = _cpu_device_module()


@PlatformRegistry.register(platform="cpu")
class CpuPlatform(PlatformBase):
    """FSDP2 ranks and vLLM on the CPU, over gloo."""

    device_name = "cpu"
    vendor_name = "cpu"
    device_module = _DEVICE

    def is_available(self) -> bool:
        return True

    def is_platform_available(self, use_smi_check: bool = False) -> bool:
        # Never picked by detection: the head of a GPU cluster may have no GPU itself.
        return os.environ.get("VERL_PLATFORM", "").lower() == "cpu"

    def current_device(self) -> Any:
        return "cpu"  # an index would mean an accelerator to `Module.to` (utils/fsdp_utils.py:507)

    def device_count(self) -> int:
        return 1

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    manual_seed_all = manual_seed

    def _nothing(self, *_: Any, **__: Any) -> None:
        """What an accelerator has to do and a CPU has not."""

    set_device = synchronize = set_allocator_settings = empty_cache = _nothing
    profiler_start = profiler_stop = cudart = _nothing

    def get_device_capability(self, device_index: int = 0) -> tuple[None, None]:
        return None, None

    def communication_backend_name(self) -> str:
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "CUDA_VISIBLE_DEVICES"

    def ray_resource_name(self) -> str:
        return "GPU"

    def ray_noset_envvars(self) -> list[str]:
        return []

    def is_ipc_supported(self) -> bool:
        return False  # weights go to vLLM through shared memory

    @contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:
        yield
