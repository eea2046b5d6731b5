"""A driver older than the CUDA that torch is built for, and cards that torch has no code for.

    The NVIDIA driver 535.104.05 speaks CUDA 12.2, and the installed torch is built for CUDA 13. ...

What decides is what the driver's library says, so a CUDA compatibility package counts. Left out on
purpose: minor versions, which CUDA bridges by itself.
"""

from collections.abc import Iterator, Mapping

from verlaunch.config.tree import ROLLOUT, get
from verlaunch.errors import Finding
from verlaunch.machine.nvidia import Card
from verlaunch.machine.packages import installed
from verlaunch.plan.guards.machine.gpus import cards_of
from verlaunch.plan.guards.machine.locked_versions import lock_pins
from verlaunch.plan.guards.scene import Scene

RUNTIME = "nvidia-cuda-runtime"  # CUDA 12's has the name nvidia-cuda-runtime-cu12
DRIVERS = {12: "525.60", 13: "580.65"}  # the first for each CUDA, from NVIDIA's release notes
OLDEST = {12: (5, 0), 13: (7, 5)}  # CUDA 13 dropped Maxwell, Pascal and Volta
# vllm/platforms/cuda.py:616 refuses bfloat16 below; "auto" takes float16 there (cuda.py:237).
BFLOAT16, BFLOAT16_NAME = (8, 0), "bfloat16"


def check(scene: Scene) -> Iterator[Finding]:
    cards = cards_of(scene)
    if scene.config.hardware != "gpu" or not cards:
        return
    cuda = _built_for({**lock_pins("gpu"), **installed()})
    yield from _old_driver(scene, cards[0], cuda)
    for card in {card.name: card for card in cards}.values():
        yield from _old_card(card, cuda, str(get(scene.config.verl, f"{ROLLOUT}.dtype")))


def _built_for(versions: Mapping[str, str]) -> int:
    """CUDA's major version; what is installed counts, else what the lock would install."""
    found = versions.get(f"{RUNTIME}-cu12") or versions.get(RUNTIME) or "13"
    return int(found.split(".")[0])


def _old_driver(scene: Scene, card: Card, cuda: int) -> Iterator[Finding]:
    speaks = scene.host.driver_cuda
    if speaks is None or tuple(speaks) >= (cuda, 0) or cuda not in DRIVERS:
        return
    yield Finding(
        f"The NVIDIA driver {card.driver} speaks CUDA up to {speaks[0]}.{speaks[1]}, and the "
        f"installed torch is built for CUDA {cuda}: it would see no GPU. Install driver "
        f"{DRIVERS[cuda]} or later (Ubuntu: sudo ubuntu-drivers install), then reboot."
    )


def _old_card(card: Card, cuda: int, dtype: str) -> Iterator[Finding]:
    if card.capability is None:
        return
    version, capability = ".".join(map(str, card.capability)), tuple(card.capability)
    what = f"{card.name} has compute capability {version}"
    if capability < OLDEST.get(cuda, (0, 0)):
        least = ".".join(map(str, OLDEST[cuda]))
        yield Finding(
            f"{what}; CUDA {cuda} begins at {least}, so torch has no code for it. Use another "
            "GPU, or --hardware cpu."
        )
    elif capability < BFLOAT16 and dtype == BFLOAT16_NAME:
        yield Finding(
            f"{what}, and vLLM needs 8.0 for bfloat16. Use another GPU, or add "
            f"{ROLLOUT}.dtype=float16."
        )
