"""Cards that cannot be used as they are: not seen, not there, switched to one program, split.

    CUDA_VISIBLE_DEVICES=7: this machine has GPUs 0 to 1. ...

Left out on purpose: whether there are enough of them (fits.py), what others hold of their memory
(busy.py), and whether driver and card are too old (driver.py).
"""

from collections.abc import Iterator

from verlaunch.config.tree import ranks
from verlaunch.errors import Finding
from verlaunch.machine.nvidia import Card
from verlaunch.plan.guards.scene import Scene
from verlaunch.text import GIB

VISIBLE = "CUDA_VISIBLE_DEVICES"
NO_GPU = ("", "-1", "none", "NoDevFiles")  # what hides all cards on purpose
UNLIKE = 0.9  # of the largest card's memory


def cards_of(scene: Scene) -> list[Card]:
    """Those that the run will have: Ray gives the visible ones out from the first on."""
    by_uuid = {card.uuid: card for card in scene.host.cards}
    seen = [by_uuid[gpu.uuid] for gpu in scene.machine.gpus if gpu.uuid in by_uuid]
    return seen[: scene.ray_gpus]


def listed(numbers: list[int]) -> str:
    return ",".join(map(str, numbers))


def check(scene: Scene) -> Iterator[Finding]:
    yield from _unseen(scene)
    yield from _named(scene)
    if scene.config.hardware == "gpu":
        yield from _exclusive(scene)
        yield from _split(scene)
        yield from _unlike(scene)


def _unseen(scene: Scene) -> Iterator[Finding]:
    """A machine whose GPUs do not answer would train on the CPU without a word."""
    error = scene.host.smi_error
    if not error or scene.env.get("HARDWARE") == "cpu":
        return
    if "not there" in error:
        way = "In a container they come with docker run --gpus all (and its nvidia-smi)."
    else:
        way = "nvidia-smi must list the GPUs: fix the driver (often a reboot after an update)."
    stops = scene.config.hardware == "gpu"
    rest = "" if stops else " This run uses the CPU; HARDWARE=cpu says that it should."
    yield Finding(
        f"The GPUs of this machine do not answer: {error.rstrip('.')}. {way}{rest}", stops
    )


def _named(scene: Scene) -> Iterator[Finding]:
    """CUDA takes what stands before the first unknown name, and is silent about the rest."""
    setting, cards = scene.env.get(VISIBLE), scene.host.cards
    if setting is None or setting.strip() in NO_GPU or not cards:
        return
    words = [word.strip() for word in setting.split(",")]
    unknown = [word or "nothing" for word in words if not _is_known(word, cards)]
    if unknown:
        numbers = [card.index for card in cards]
        yield Finding(
            f"{VISIBLE}={setting} names {', '.join(unknown)}, but this machine has GPU "
            f"{listed(numbers)} (nvidia-smi). Use {VISIBLE}={listed(numbers)}, or leave it out."
        )


def _is_known(word: str, cards: tuple[Card, ...]) -> bool:
    if word.isdigit():
        return int(word) < len(cards)
    return bool(word) and any(card.uuid.startswith(word) for card in cards)


def _exclusive(scene: Scene) -> Iterator[Finding]:
    """FSDP's process and vLLM's share every card, with the driver's help or not at all."""
    for card in cards_of(scene):
        if card.compute_mode in ("Exclusive_Process", "Prohibited"):
            yield Finding(
                f"GPU {card.index} is in compute mode {card.compute_mode}; a run has two programs "
                f"on each GPU. Change it: sudo nvidia-smi -i {card.index} -c DEFAULT"
            )


def _split(scene: Scene) -> Iterator[Finding]:
    split = [card.index for card in cards_of(scene) if card.mig]
    if not split:
        return
    which = f"GPU {listed(split)} {'is' if len(split) == 1 else 'are'} split into MIG instances"
    stops = ranks(scene.config.verl) > 1
    why = (
        "a program sees one instance only, and ranks cannot reach each other's"
        if stops
        else "a run gets one instance, which has less memory than this plan counts with"
    )
    yield Finding(
        f"{which}: {why}. Use whole GPUs: sudo nvidia-smi -i {listed(split)} -mig 0"
        + ", or --n_gpus 1." * stops,
        stops,
    )


def _unlike(scene: Scene) -> Iterator[Finding]:
    """Shards and KV caches are of one size on all cards, so the smallest card decides."""
    cards = [card for card in cards_of(scene) if card.total]
    largest = max((card.total for card in cards), default=0)
    large = [card.index for card in cards if card.total >= UNLIKE * largest]
    if len(large) < len(cards):
        sizes = "; ".join(f"{c.index}: {c.name}, {c.total / GIB:.0f} GiB" for c in cards)
        yield Finding(
            f"The GPUs differ ({sizes}): the smallest decides what fits, and the slowest the "
            f"speed. Only the large ones: {VISIBLE}={listed(large)} and --n_gpus {len(large)}.",
            stops=False,
        )
