"""/dev/shm: Ray's object store lies there, and so do the buffers that processes share.

    /dev/shm has 67.1 MB free; processes of this run share up to 2.1 GB there ... --shm-size=3g

Containers have 64 MB unless told otherwise. A store that does not fit goes to the temporary folder
(slow), or ends the run when it is larger than 10 GB (ray/_private/services.py:2230-2245). What does
not fit of the rest kills the process that writes it (SIGBUS). What an earlier attempt left is
removed at the start, and is not counted here.
"""

from collections.abc import Iterator

from verlaunch.config.tree import ROLLOUT, get, ranks_here
from verlaunch.errors import Finding
from verlaunch.machine.disk import amount
from verlaunch.plan.guards.scene import Scene
from verlaunch.text import MIB

STORE_MUST_FIT = 10**10  # ray_constants.REQUIRE_SHM_SIZE_THRESHOLD
SLOW_ALLOWED = "RAY_OBJECT_STORE_ALLOW_SLOW_STORAGE"
# vLLM's queue between the ranks of one replica: 10 chunks of VLLM_MQ_MAX_CHUNK_BYTES_MB (16).
QUEUE = 10 * 16 * MIB
GB = 10**9


def check(scene: Scene) -> Iterator[Finding]:
    free, store, need = scene.host.shm_bytes, scene.object_store_bytes, _needed(scene)
    size = _size(need)
    way = (
        f"In a container: docker run --shm-size={size} (or --ipc=host); in a pod: an emptyDir with "
        "medium: Memory. Else: delete what your earlier programs left there (ls -l /dev/shm), or "
        f"sudo mount -o remount,size={size} /dev/shm."
    )
    if free is None:
        yield Finding(
            f"There is no /dev/shm, and Ray cannot start without one. Make it: sudo mkdir -p "
            f"/dev/shm && sudo mount -t tmpfs -o size={size} tmpfs /dev/shm"
        )
    elif free < need - store:
        yield Finding(
            f"/dev/shm has {amount(free)} free; processes of this run share up to "
            f"{amount(need - store)} there, and one that finds no room is killed. {way}"
        )
    elif free < store and store > STORE_MUST_FIT and SLOW_ALLOWED not in scene.env:
        yield Finding(
            f"/dev/shm has {amount(free)} free, and Ray does not start with less than its object "
            f"store of {amount(store)}. {way}"
        )
    elif free < need:
        yield Finding(
            f"/dev/shm has {amount(free)} free, and this run would put up to {amount(need)} there: "
            f"Ray's object store lies on the disk instead, which is slower. {way}",
            stops=False,
        )


def _size(need: int) -> str:
    """As docker and mount take it, rounded up, with a tenth to spare."""
    unit, letter = (GB, "g") if need >= GB else (100 * 10**6, "00m")
    return f"{-(-need * 11 // 10 // unit)}{letter}"


def _needed(scene: Scene) -> int:
    """The estimate's, or what can be said without one."""
    tp = get(scene.config.verl, f"{ROLLOUT}.tensor_model_parallel_size")
    queues = QUEUE * (max(1, ranks_here(scene.config.verl) // tp)) if tp > 1 else 0
    least = scene.object_store_bytes + queues
    return max(least, scene.estimate.shm if scene.estimate else 0)
