"""An all-reduce between ranks: is the sum right, and how fast is it?

work({"ranks": 2, "on_gpus": False, "megabytes": 16}, print)
# {"right": True, "gigabytes_per_s": 1.4}
"""

import time
from collections.abc import Callable
from typing import Any

from verlaunch.tools.doctor.inside.ranks import spawned

ROUNDS = 5


def measure(rank: int, ranks: int, device: str, given: dict[str, Any]) -> dict[str, Any]:
    import torch
    from torch import distributed

    def wait() -> None:
        if device != "cpu":
            torch.cuda.synchronize()

    numbers = torch.full((int(given["megabytes"] * 1e6 / 4),), float(rank + 1), device=device)
    distributed.all_reduce(numbers)  # the first one connects
    wanted = ranks * (ranks + 1) / 2
    is_right = bool((numbers == wanted).all())
    wait()
    began = time.monotonic()
    for _ in range(ROUNDS):
        distributed.all_reduce(numbers)
    wait()
    seconds = max(time.monotonic() - began, 1e-9)
    return {"right": is_right, "gigabytes_per_s": ROUNDS * given["megabytes"] / 1e3 / seconds}


def work(given: dict[str, Any], doing: Callable[[str], None]) -> dict[str, Any]:
    doing(f"adding {given['megabytes']} MB over {given['ranks']} ranks")
    return spawned(measure, given)
