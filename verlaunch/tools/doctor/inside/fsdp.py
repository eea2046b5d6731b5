"""Some steps of a tiny model under FSDP2: forward, backward, AdamW.

work({"ranks": 2, "on_gpus": False}, print)    # {"losses": [2.31, 1.98, 1.6], "seconds": 0.1}

Left out on purpose: verl's own engines; the run that ./train.sh makes without flags tries those.
"""

import time
from collections.abc import Callable
from typing import Any

from verlaunch.tools.doctor.inside.ranks import spawned

STEPS, WIDTH, ROWS, RATE = 5, 64, 16, 1e-2


def steps(rank: int, ranks: int, device: str, given: dict[str, Any]) -> dict[str, Any]:
    import torch
    from torch import nn
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    torch.manual_seed(0)
    layers = [nn.Linear(WIDTH, WIDTH) for _ in range(3)]
    model = nn.Sequential(*layers).to(device)
    mesh = init_device_mesh(device.partition(":")[0], (ranks,))
    # What a run has: bf16 to compute with on GPUs, fp32 to add up gradients.
    dtype = torch.bfloat16 if given["on_gpus"] else torch.float32
    policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
    for layer in layers:
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    x, y = torch.randn(2, ROWS, WIDTH, device=device)
    losses, began = [], time.monotonic()
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = (model(x).float() - y).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return {"losses": losses, "seconds": time.monotonic() - began}


def work(given: dict[str, Any], doing: Callable[[str], None]) -> dict[str, Any]:
    doing(f"training {STEPS} steps on {given['ranks']} ranks")
    return spawned(steps, given)
