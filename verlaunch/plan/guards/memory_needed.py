"""More memory than there is: the phase that needs it, the amounts, and the setting that mends it.

    The GPU memory is too small: generation needs about 24.8 GiB of 18.0 GiB (KV cache ...). Use ...

Each remedy that is named was tried: the same estimate with that one setting turned. Left out on
purpose: combinations of settings, which are --fit auto's (memory/fit.py); what others hold
(busy.py, main_memory.py); /dev/shm and the disks, whose guards know what lies there already.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from verlaunch.errors import Finding
from verlaunch.plan.guards.scene import Scene
from verlaunch.plan.memory.estimate import Estimate, Phase
from verlaunch.plan.memory.expected import Memory
from verlaunch.plan.memory.knobs import Knob, all_knobs, offload_fields, with_adapter
from verlaunch.plan.memory.memory_keys import KV_CACHE, LORA_RANK, less_offload, offload_of
from verlaunch.plan.memory.shape import Shape
from verlaunch.plan.memory.use import Use
from verlaunch.text import gib

TIGHT = 0.85  # of main memory: Ray kills workers above 95% of it
# An estimate may be wrong by this: what is short by less may well run. On the CPU they were seen
# to be off by 2% (scripts/bench/memory.py), on GPUs by nobody yet.
ERROR, CPU_ERROR = 1.15, 1.05
MOST_GPUS = 8  # of one machine
SHOWN = 3  # remedies
HELPS = 0.95  # of the peak; what lowers it less is not worth naming
TRAINED = 16  # bytes per parameter: weight, gradient and two moments


@dataclass(frozen=True)
class _Turn:
    """One setting, otherwise: which, as it is typed, and what it makes of the run."""

    kind: str
    typed: str
    use: Use


def check(scene: Scene) -> Iterator[Finding]:
    return of_memory(scene.memory) if scene.memory else iter(())


def of_memory(memory: Memory) -> Iterator[Finding]:
    found, use, room = memory.estimate, memory.use, memory.room
    if found is None or use is None:
        return
    ways = "" if memory.fit.values else "".join(f" {way}" for way in memory.fit.ways)
    yield from _card(found, use, room.gpu, ways)
    yield from _cache(found, use, ways)
    yield from _host(found, use, room.host)


def _largest(phase: Phase, count: int = 2) -> str:
    parts = sorted(phase.parts, key=lambda part: -part.bytes)[:count]
    return " and ".join(f"{part.name} {gib(part.bytes)}" for part in parts)


def _card(found: Estimate, use: Use, gpu_bytes: int | None, ways: str) -> Iterator[Finding]:
    """`ways`: what --fit auto has found out beside, where no single setting helps."""
    peak = found.gpu_peak
    if peak is None or gpu_bytes is None or peak.bytes <= gpu_bytes:
        return
    sure = found.again(replace(use, entropy=False)).gpu_peak if use.thrifty else peak
    stops = sure is not None and sure.bytes > gpu_bytes * ERROR
    yield Finding(
        f"The GPU memory {'is' if stops else 'may be'} too small: {peak.name} needs about "
        f"{gib(peak.bytes)} of {gib(gpu_bytes)} ({_largest(peak)}). "
        f"{_remedy(found, use, _card_fits(gpu_bytes), ways)}",
        stops,
    )


def _card_fits(gpu_bytes: int) -> Callable[[Estimate], bool]:
    def fits(found: Estimate) -> bool:
        peak = found.gpu_peak
        return peak is None or peak.bytes <= gpu_bytes

    return fits


def _cache(found: Estimate, use: Use, ways: str) -> Iterator[Finding]:
    if found.kv_tokens is None or found.kv_tokens >= use.length:
        return
    if use.hardware == "cpu":
        yield _small_cache(found.kv_tokens, use)
        return
    share, room = use.utilization, found.kv_tokens
    fits = _card_fits(found.card or 0)
    if not fits(found):  # that is told, and what mends it comes first
        return

    def holds_one(other: Estimate) -> bool:
        return (other.kv_tokens or 0) >= use.length and fits(other)

    remedy = _remedy(found, use, holds_one, ways)
    # Beside weights and a cache there is what is guessed: graphs and working memory.
    lucky = found.again(replace(use, utilization=share * ERROR)).kv_tokens or 0
    yield Finding(
        f"--gpu_memory_utilization {share:g} leaves vLLM room for {room} tokens beside the "
        f"model's weights, and one sequence has up to {use.length}. {remedy}",
        stops=lucky < use.length,
    )


def _small_cache(tokens: int, use: Use) -> Finding:
    """On the CPU the cache has a size of its own; left open, it is worked out (derive.py)."""
    return Finding(
        f"{KV_CACHE}={use.kv_cache_bytes} leaves vLLM room for {tokens} tokens, and one sequence "
        f"has up to {use.length}. Leave it out."
    )


def _remedy(found: Estimate, use: Use, fits: Callable[[Estimate], bool], ways: str) -> str:
    """What does it alone; else what comes closest, as no single setting is enough."""
    if found.shape is None:
        return way_out(found, "larger cards")
    turns = list(_turns(found.shape, use, found.critic))
    enough = _enough(found, turns, fits)
    if enough:
        return f"Use {' or '.join(enough)}."
    best = min(turns, key=lambda turn: _peak(found.again(turn.use)))
    closest, alone = _peak(found.again(best.use)), ""
    if closest < HELPS * _peak(found):
        alone = f"; {best.typed} comes closest ({gib(closest)})"
    return f"No single setting is enough{alone}. {way_out(found, 'larger cards')}{ways}"


def smaller_helps(found: Estimate) -> bool:
    """Not where the programs take it all, as beside the demo's model."""
    shape = found.shape
    return shape is None or TRAINED * shape.parameters > (1 - HELPS) * _peak(found)


def way_out(found: Estimate, more: str) -> str:
    return f"Use {'a smaller --model, or ' * smaller_helps(found)}{more}."


def _enough(found: Estimate, turns: Iterable[_Turn], fits: Callable[[Estimate], bool]) -> list[str]:
    """As they are typed: of each kind the least that does."""
    chosen: dict[str, str] = {}
    for turn in turns:
        if turn.kind not in chosen and fits(found.again(turn.use)):
            chosen[turn.kind] = turn.typed
    return list(chosen.values())[:SHOWN]


def _peak(found: Estimate) -> int:
    return found.gpu_peak.bytes if found.gpu_peak else found.host_peak.bytes


def _turns(shape: Shape, use: Use, critic: Shape | None) -> Iterator[_Turn]:
    """The cheapest first: what costs little time, then time, then what changes the training."""
    *others, cache = all_knobs(shape, use, critic)
    yield from _turned((cache, *others), use)
    yield from _adapter(use)
    yield from _more_gpus(use)


def _turned(knobs: Iterable[Knob], use: Use) -> Iterator[_Turn]:
    """Of each knob the nearest position first."""
    for number, knob in enumerate(knobs):
        for position in sorted(knob, key=lambda one: one.cost):
            if position.values:
                yield _Turn(str(number), position.typed, replace(use, **position.fields))


def _adapter(use: Use) -> Iterator[_Turn]:
    if thin := with_adapter(use):
        yield _Turn("LoRA", f"--lora_rank {LORA_RANK}", thin)


def _more_gpus(use: Use) -> Iterator[_Turn]:
    count = use.gpus_per_node * 2
    while use.nodes == 1 and count <= MOST_GPUS:
        typed = f"--n_gpus {count} (where there are as many)"
        yield _Turn("GPUs", typed, replace(use, gpus_per_node=count))
        count *= 2


def _host(found: Estimate, use: Use, host_bytes: int) -> Iterator[Finding]:
    peak = found.host_peak
    if peak.bytes <= host_bytes * TIGHT:
        return
    stops = peak.bytes > host_bytes * (CPU_ERROR if use.hardware == "cpu" else ERROR)
    over = "may be too small" if peak.bytes > host_bytes else "is nearly used up"
    what = "is too small" if stops else over
    remedy = _host_remedy(found, use, int(host_bytes * (1 if stops else TIGHT)))
    yield Finding(
        f"The main memory {what}: {peak.name} needs about {gib(peak.bytes)} of "
        f"{gib(host_bytes)} ({_largest(peak)}). {remedy}",
        stops,
    )


def _host_remedy(found: Estimate, use: Use, host_bytes: int) -> str:
    def fits(other: Estimate) -> bool:
        on_card = found.card is None or _card_fits(found.card)(other)
        return other.host_peak.bytes <= host_bytes and on_card

    enough = _enough(found, _host_turns(found, use), fits)
    if enough:
        return f"Use {' or '.join(enough)}."
    return way_out(found, "a machine with more memory")


def _host_turns(found: Estimate, use: Use) -> Iterator[_Turn]:
    """What keeps less in main memory; on the CPU that is what a card holds elsewhere."""
    if use.hardware == "gpu":
        for to in less_offload(offload_of(use.optimizer_offload, use.param_offload)):
            yield _Turn("offload", f"--offload {to}", replace(use, **offload_fields(to)))
    elif found.shape is not None:
        yield from _turned(all_knobs(found.shape, use, found.critic), use)
    yield from _adapter(use)
    if use.gpus_per_node > 1:
        yield _Turn("GPUs", "--n_gpus 1", replace(use, gpus_per_node=1, tp=1))
