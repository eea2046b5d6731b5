"""Main memory that other programs hold, as far as this run will want it.

    This run takes about 20.0 GiB of main memory (actor update); 12.1 of 31.3 GiB are free ...

Ray ends processes of a run when 95% of the machine's or container's memory is taken, by whomever
(RAY_memory_usage_threshold), so the last twentieth does not count, and neither does swap. Left out
on purpose: a machine that is too small for the run on its own (memory_needed.py).
"""

from collections.abc import Iterator

from verlaunch.errors import Finding
from verlaunch.plan.guards.memory_needed import TIGHT, smaller_helps
from verlaunch.plan.guards.scene import Scene
from verlaunch.plan.memory.estimate import Phase
from verlaunch.text import GIB

THRESHOLD, DEFAULT = "RAY_memory_usage_threshold", 0.95
LEAST_GIB = 4.0  # what the smallest run takes, for when nothing better is known
WAY = "End other programs (ps aux --sort=-rss | head)"


def check(scene: Scene) -> Iterator[Finding]:
    total, free = scene.machine.memory_gib, scene.host.free_memory_gib
    peak = _untold_peak(scene)
    need = peak.bytes / GIB if peak else LEAST_GIB
    limit = _threshold(scene)
    helps = scene.estimate is None or smaller_helps(scene.estimate)
    smaller = ", or use a smaller --model" * helps
    if need <= free - (1 - limit) * total:
        return
    takes = f"This run takes about {need:.1f} GiB of main memory" + (
        f" ({peak.name})" if peak else ""
    )
    yield Finding(
        f"{takes}; {free:.1f} of {total:.1f} GiB are free, and Ray ends processes when {limit:.0%} "
        f"are taken. {WAY}{smaller}.",
        stops=False,
    )


def _untold_peak(scene: Scene) -> Phase | None:
    """None where it is not known, or where memory_needed.py has told of it."""
    if scene.estimate is None or not scene.estimate.host:
        return None
    peak = scene.estimate.host_peak
    return peak if peak.bytes <= scene.machine.memory_gib * GIB * TIGHT else None


def _threshold(scene: Scene) -> float:
    try:
        return float(scene.env.get(THRESHOLD, DEFAULT))
    except ValueError:
        return DEFAULT
