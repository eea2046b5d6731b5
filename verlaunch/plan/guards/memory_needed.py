"""More memory than there is: the phase that needs it, the amounts, and the settings that mend it.

    The GPU memory is too small: generation needs about 24.8 GiB of 18.0 GiB (KV cache ...). It
    would fit with --gpu_memory_utilization 0.35. ...

What would do is what --fit auto's own search finds with every setting free (memory/fit.py). Left
out on purpose: what others hold (machine/busy.py); /dev/shm and the disks, whose guards
know what lies there already.
"""

from collections.abc import Iterator
from dataclasses import replace

from verlaunch.errors import Finding
from verlaunch.plan.guards.scene import Scene
from verlaunch.plan.memory.estimate import Estimate, Phase
from verlaunch.plan.memory.expected import Memory
from verlaunch.plan.memory.fit import Case, enough_gpus, ways_out
from verlaunch.plan.memory.memory_keys import KV_CACHE
from verlaunch.text import gib

TIGHT = 0.85  # of main memory: Ray kills workers above 95% of it
# An estimate may be wrong by this: what is short by less may well run. On the CPU they were seen
# to be off by 2% (scripts/bench/memory.py), on GPUs by nobody yet.
ERROR, CPU_ERROR = 1.15, 1.05
TRAINED = 16  # bytes per parameter: weight, gradient and two moments
HELPS = 0.05  # of the peak; a model that takes less is not what is too large


def check(scene: Scene) -> Iterator[Finding]:
    return of_memory(scene.memory) if scene.memory else iter(())


def of_memory(memory: Memory) -> Iterator[Finding]:
    found, use, room = memory.estimate, memory.use, memory.room
    if found is None or use is None or found.shape is None:
        return
    case = Case(found.shape, found.critic, use, room.gpu, room.host)
    yield from _card(found, case, memory.prompt_tokens)
    yield from _cache(found, case)
    yield from _host(found, case)


def _largest(phase: Phase, count: int = 2) -> str:
    parts = sorted(phase.parts, key=lambda part: -part.bytes)[:count]
    return " and ".join(f"{part.name} {gib(part.bytes)}" for part in parts)


def smaller_helps(found: Estimate) -> bool:
    """Not where the programs take it all, as beside the demo's model."""
    shape, peak = found.shape, found.gpu_peak or found.host_peak
    return shape is None or TRAINED * shape.parameters > HELPS * peak.bytes


def _ways(found: Estimate, case: Case, more: str = "larger GPUs") -> str:
    last = f"Use {'a smaller --model, or ' * smaller_helps(found)}{more}."
    return " ".join(ways_out(case, enough_gpus(case))) or last


def _too_large(found: Estimate, gpu_bytes: int | None) -> bool:
    peak = found.gpu_peak
    return bool(peak and gpu_bytes and peak.bytes > gpu_bytes)


def _card(found: Estimate, case: Case, prompt_tokens: int | None) -> Iterator[Finding]:
    peak, gpu_bytes = found.gpu_peak, case.gpu_bytes
    if peak is None or gpu_bytes is None or not _too_large(found, gpu_bytes):
        return
    # Full length is the worst that may come; what does not even hold half of it cannot run.
    likely = found.again(case.use.likely(prompt_tokens))
    stops = _too_large(likely, int(gpu_bytes * ERROR))
    yield Finding(
        f"The GPU memory {'is' if stops else 'may be'} too small: {peak.name} needs about "
        f"{gib(peak.bytes)} of {gib(gpu_bytes)} ({_largest(peak)}). {_ways(found, case)}",
        stops,
    )


def _cache(found: Estimate, case: Case) -> Iterator[Finding]:
    use, tokens = case.use, found.kv_tokens
    # A card that is too small is told, and what mends it comes first.
    if tokens is None or tokens >= use.length or _too_large(found, case.gpu_bytes):
        return
    if use.hardware == "cpu":  # there the cache has a size of its own, worked out (derive.py)
        yield Finding(
            f"{KV_CACHE}={use.kv_cache_bytes} leaves vLLM room for {tokens} tokens, and one "
            f"sequence has up to {use.length}. Leave it out."
        )
        return
    # Beside weights and a cache there is what is guessed: graphs and working memory.
    lucky = found.again(replace(use, utilization=use.utilization * ERROR)).kv_tokens or 0
    yield Finding(
        f"--gpu_memory_utilization {use.utilization:g} leaves vLLM room for {tokens} tokens beside "
        f"the model's weights, and one sequence has up to {use.length}. {_ways(found, case)}",
        stops=lucky < use.length,
    )


def _host(found: Estimate, case: Case) -> Iterator[Finding]:
    peak, there, hardware = found.host_peak, case.host_bytes, case.use.hardware
    if peak.bytes <= there * TIGHT:
        return
    stops = peak.bytes > there * (CPU_ERROR if hardware == "cpu" else ERROR)
    over = "may be too small" if peak.bytes > there else "is nearly used up"
    what = "is too small" if stops else over
    less = replace(case, host_bytes=there if stops else int(there * TIGHT))
    yield Finding(
        f"The main memory {what}: {peak.name} needs about {gib(peak.bytes)} of "
        f"{gib(there)} ({_largest(peak)}). "
        f"{_ways(found, less, 'a machine with more memory')}",
        stops,
    )
