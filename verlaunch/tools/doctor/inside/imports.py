"""Imports what a run imports, and asks verl for its platform.

work({"modules": ["torch"]}, print)
# {"modules": {"torch": {"version": "2.13.0+cpu", "seconds": 1.9}}, "platform": "cpu", ...}
"""

import importlib
import time
import traceback
from collections.abc import Callable
from typing import Any

from verlaunch.tools.doctor.inside.__main__ import first_line

# Some only import when something of theirs is asked for.
DEEPER = {"vllm": "LLM", "transformers": "Qwen2ForCausalLM"}


def _import(name: str) -> dict[str, Any]:
    began = time.monotonic()
    try:
        module = importlib.import_module(name)
        if name in DEEPER:
            getattr(module, DEEPER[name])
    except Exception as error:
        traceback.print_exc()
        return {"error": first_line(error)}
    version = getattr(module, "__version__", "")
    return {"version": str(version), "seconds": round(time.monotonic() - began, 1)}


def _platform() -> dict[str, Any]:
    """What verl runs on, and whether it has loaded our plugin by its entry point."""
    from verlaunch.engine import chosen

    found: dict[str, Any] = {"by_entry_point": chosen.has_found_ours()}
    try:
        importlib.import_module("verlaunch.engine.plugin")
        importlib.import_module("verlaunch.engine.training.workers")
        found["platform"] = chosen.platform_name()
    except Exception as error:
        traceback.print_exc()
        found["platform_error"] = first_line(error)
    return found


def _cuda() -> dict[str, Any]:
    import torch

    return {"cuda": torch.version.cuda, "cuda_devices": torch.cuda.device_count()}


def work(given: dict[str, Any], doing: Callable[[str], None]) -> dict[str, Any]:
    found: dict[str, Any] = {"modules": {}}
    for name in given["modules"]:
        doing(f"importing {name}")
        found["modules"][name] = _import(name)
    imported = {name for name, said in found["modules"].items() if "error" not in said}
    if "torch" in imported:
        doing("asking torch for GPUs")
        found |= _cuda()
    if "verl" in imported:
        doing("asking verl for its platform")
        found |= _platform()
    return found
