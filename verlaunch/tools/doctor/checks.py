"""Every check: its name, the most it may take, and the function that looks.

[check.name for check in CHECKS]    # ["machine", "limits", "versions", "imports", ...]

Those that take most come last but for the ones outside this machine, which may cost.
"""

from collections.abc import Callable
from dataclasses import dataclass

from verlaunch.tools.doctor import heavy, outside
from verlaunch.tools.doctor.look import Line, Patient, Say
from verlaunch.tools.doctor.machine import look_at_limits, look_at_machine, look_at_versions

Look = Callable[[Patient, Say, float], Line]  # within so many seconds


@dataclass(frozen=True)
class Check:
    """is_slow: left out by --quick."""

    name: str
    what: str
    limit_s: float
    look: Look
    is_slow: bool = False


CHECKS = (
    Check("machine", "cores, memory, GPUs, driver, Python", 20, look_at_machine),
    Check("limits", "shared memory, open files, free memory, other programs", 20, look_at_limits),
    Check("versions", "installed packages against the lock", 20, look_at_versions),
    Check("disk", "write and read at output folder, cache, /tmp", 60, outside.look_at_disk),
    Check("network", "the model hub", 30, outside.look_at_network),
    Check("judge", "two live calls, if these flags name a judge", 90, outside.look_at_judge),
    Check("imports", "torch, transformers, ray, vllm, verl and our plugin", 180,
            heavy.look_at_imports, True),
    Check("collectives", "ranks add up some megabytes", 120, heavy.look_at_collectives, True),
    Check("fsdp", "some steps of a tiny model, sharded", 120, heavy.look_at_fsdp, True),
    Check("ray", "a private cluster starts, works, stops", 120, heavy.look_at_ray, True),
    Check("generation", "vLLM writes 8 tokens with a tiny model", 240,
            heavy.look_at_generation, True),
)  # fmt: skip
