"""How much memory and disk a run will take: per GPU and phase, per node, on disk.

    found = estimate(shape, None, use, 80 * 2**30)
    found.gpu_peak.name, found.gpu_peak.bytes   ->  "actor update", 21_474_836_480

Plain arithmetic over plain numbers, well below a millisecond: --fit auto asks it thousands of
times. What each number stands on is in gpu.py, host_phases.py, cpu.py and written.py.
"""

from dataclasses import dataclass, field

from verlaunch.plan.memory import cpu, gpu, host_phases
from verlaunch.plan.memory.phases import Disk, Phase
from verlaunch.plan.memory.shape import Shape
from verlaunch.plan.memory.use import Use
from verlaunch.plan.memory.vllm import vllm_share
from verlaunch.plan.memory.written import disk_of


@dataclass(frozen=True)
class Estimate:
    """kv_tokens: of prompts and responses that the cache of one vLLM replica holds; None where it
    is not known. shape, critic, card: what it was made from, for the question "and with...?"."""

    gpu: tuple[Phase, ...]  # of the fullest GPU; empty on the CPU
    host: tuple[Phase, ...]  # main memory of one node
    shm: int  # bytes below /dev/shm on one node, the object store among them
    disk: Disk
    kv_tokens: int | None = None
    shape: Shape | None = field(default=None, repr=False)
    critic: Shape | None = field(default=None, repr=False)
    card: int | None = None

    @property
    def gpu_peak(self) -> Phase | None:
        return max(self.gpu, key=lambda phase: phase.bytes, default=None)

    @property
    def host_peak(self) -> Phase:
        return max(self.host, key=lambda phase: phase.bytes)

    def again(self, use: Use) -> "Estimate":
        """Of the same models on the same card, used otherwise."""
        assert self.shape is not None
        return estimate(self.shape, self.critic, use, self.card)


def estimate(shape: Shape, critic: Shape | None, use: Use, gpu_bytes: int | None) -> Estimate:
    """`critic`: None when it starts from the policy's model. `gpu_bytes`: of one card."""
    on_cpu = use.hardware == "cpu"
    share = vllm_share(shape, use, gpu_bytes)
    known = bool(use.kv_cache_bytes or (gpu_bytes and not on_cpu))
    return Estimate(
        gpu=() if on_cpu else gpu.phases(shape, critic, use, gpu_bytes),
        host=(cpu if on_cpu else host_phases).phases(shape, critic, use),
        shm=host_phases.shared_memory(shape, use),
        disk=disk_of(shape, critic, use),
        kv_tokens=share.tokens if known else None,
        shape=shape,
        critic=critic,
        card=gpu_bytes,
    )
