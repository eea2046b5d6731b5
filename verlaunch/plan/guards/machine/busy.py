"""Memory that other programs hold, of the run's cards and of the machine.

    GPU 0 has 20.1 of 79.2 GiB free (python, pid 4242: 59.1 GiB), and vLLM takes 39.6 GiB of it ...
    This run takes about 20.0 GiB of main memory (actor update); 12.1 of 31.3 GiB are free ...

vLLM refuses to start with less than utilisation x memory free (vllm/v1/worker/utils.py:453), and
does so minutes later. What an earlier attempt of this very run holds is freed before the start, and
does not count. Ray ends processes of a run when 95% of the machine's or container's memory is
taken, by whomever (RAY_memory_usage_threshold), so the last twentieth does not count either, and
neither does swap. Left out on purpose: a machine that is too small for the run on its own
(memory_needed.py).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from verlaunch.config.tree import ROLLOUT, get
from verlaunch.errors import Finding
from verlaunch.machine import leftovers, processes
from verlaunch.machine.nvidia import Busy
from verlaunch.plan.guards.machine.gpus import VISIBLE, listed
from verlaunch.plan.guards.memory_needed import ERROR, TIGHT, smaller_helps
from verlaunch.plan.guards.scene import Scene
from verlaunch.plan.memory.phases import Phase
from verlaunch.text import GIB

LITTLE = 1 * GIB  # a desktop, or the driver's own
THRESHOLD, DEFAULT = "RAY_memory_usage_threshold", 0.95
LEAST_GIB = 4.0  # what the smallest run takes, for when nothing better is known
WAY = "End other programs (ps aux --sort=-rss | head)"


@dataclass(frozen=True)
class Card:
    """Bytes, without what an earlier attempt of this run holds; total 0: not known."""

    index: int
    total: int
    free: int
    programs: tuple[Busy, ...]


def check(scene: Scene) -> Iterator[Finding]:
    if scene.config.hardware == "gpu":
        yield from _of_cards(scene)
    yield from _of_the_machine(scene)


def _of_cards(scene: Scene) -> Iterator[Finding]:
    cards = _cards(scene)
    used = cards[: scene.ray_gpus]
    short = [card for card in used if card.free < _needed(scene, card)]
    for card in short:
        sure = max(_share(scene) * card.total, _peak(scene) / ERROR)
        yield Finding(_shortage(scene, card, cards), stops=card.free < sure)
    for card in used:
        if card not in short and card.total - card.free > LITTLE:
            yield Finding(f"{_held(card)} The run fits beside them, but runs slower.", False)


def _cards(scene: Scene) -> list[Card]:
    mark = leftovers.MARK, str(scene.folder)
    ended = set(processes.marked(*mark)) if scene.host.busy else set()
    by_uuid = {card.uuid: card for card in scene.host.cards}
    found = []
    for position, gpu in enumerate(scene.machine.gpus):
        real = by_uuid.get(gpu.uuid)
        index = real.index if real else position
        programs = [busy for busy in scene.host.busy if busy.gpu == index]
        others = tuple(busy for busy in programs if busy.pid not in ended)
        total = real.total if real else int(gpu.memory_gib * GIB)
        held = total - real.free if real else sum(busy.bytes for busy in programs)
        ours = sum(busy.bytes for busy in programs if busy.pid in ended)
        found.append(Card(index, total, total - max(0, held - ours), others))
    return found


def _share(scene: Scene) -> float:
    return get(scene.config.verl, f"{ROLLOUT}.gpu_memory_utilization")


def _peak(scene: Scene) -> int:
    peak = scene.estimate.gpu_peak if scene.estimate else None
    return peak.bytes if peak else 0


def _needed(scene: Scene, card: Card) -> int:
    """Never more than there is: that an empty card is too small is not for this guard to say."""
    return min(max(int(_share(scene) * card.total), _peak(scene)), card.total - LITTLE)


def _held(card: Card) -> str:
    by = ", ".join(f"{b.name.split('/')[-1]}, pid {b.pid}: {b.bytes / GIB:.1f} GiB"
                   for b in card.programs)  # fmt: skip
    by = by or "programs that cannot be seen from here, in another container or of another user"
    return f"GPU {card.index} has {card.free / GIB:.1f} of {card.total / GIB:.1f} GiB free ({by})."


def _shortage(scene: Scene, card: Card, cards: list[Card]) -> str:
    vllm, need = _share(scene) * card.total, _needed(scene, card)
    free = [other.index for other in cards if other.free >= _needed(scene, other)]
    ways = []
    if len(free) >= scene.ray_gpus:
        ways.append(f"use free ones: {VISIBLE}={listed(free[: scene.ray_gpus])} ./train.sh ...")
    if card.programs:
        pids = " ".join(str(busy.pid) for busy in card.programs)
        ways.append(f"end what holds it: kill {pids}")
    if card.free < vllm:
        why = f"vLLM takes {vllm / GIB:.1f} GiB of it (--gpu_memory_utilization {_share(scene):g})"
    else:
        why = f"this run takes up to {need / GIB:.1f} GiB of it"
    return f"{_held(card)[:-1]}, and {why}. Wait, or {'; or '.join(ways) or 'use another GPU'}."


def _of_the_machine(scene: Scene) -> Iterator[Finding]:
    total, free = scene.machine.memory_gib, scene.host.free_memory_gib
    peak = _untold_peak(scene)
    need = peak.bytes / GIB if peak else LEAST_GIB
    limit = scene.share(THRESHOLD, DEFAULT)
    if need <= free - (1 - limit) * total:
        return
    helps = scene.estimate is None or smaller_helps(scene.estimate)
    smaller = ", or use a smaller --model" * helps
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
