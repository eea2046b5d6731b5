"""Memory of the run's cards that other programs hold.

    GPU 0 has 20.1 of 79.2 GiB free (python, pid 4242: 59.1 GiB), and vLLM takes 39.6 GiB of it ...

vLLM refuses to start with less than utilisation x memory free (vllm/v1/worker/utils.py:453), and
does so minutes later. What an earlier attempt of this very run holds is freed before the start, and
does not count.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from verlaunch.config.tree import ROLLOUT, get
from verlaunch.errors import Finding
from verlaunch.machine import leftovers, processes
from verlaunch.machine.nvidia import Busy
from verlaunch.plan.guards.gpus import VISIBLE, listed
from verlaunch.plan.guards.memory_needed import ERROR
from verlaunch.plan.guards.scene import Scene
from verlaunch.text import GIB

LITTLE = 1 * GIB  # a desktop, or the driver's own


@dataclass(frozen=True)
class Card:
    """Bytes, without what an earlier attempt of this run holds; total 0: not known."""

    index: int
    total: int
    free: int
    programs: tuple[Busy, ...]


def check(scene: Scene) -> Iterator[Finding]:
    if scene.config.hardware != "gpu":
        return
    cards = _cards(scene)
    used = cards[: scene.ray_gpus]
    short = [card for card in used if card.free < _needed(scene, card)]
    for card in short:
        sure = max(_share(scene) * card.total, _peak(scene) / ERROR)
        yield Finding(_shortage(scene, card, cards), stops=card.free < sure)
    for card in used:
        if card not in short and card.total - card.free > LITTLE:
            yield Finding(f"{_held(card)} The run fits beside them, and shares its speed.", False)


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
    return f"{_held(card)[:-1]}, and {why}. Wait, or {'; or '.join(ways) or 'use another card'}."
