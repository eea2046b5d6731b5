"""What is installed and what is there: driver, cards, packages, room.

A process of its own asks torch, so that this one never holds a card.
"""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gpu_check.check import Check, Failure, Found
from verlaunch.machine import disk, nvidia, packages
from verlaunch.text import GIB

ASK_TORCH = """
import json, torch
found = {"cuda": torch.version.cuda, "cards": torch.cuda.device_count(), "product": None}
if found["cards"]:
    a = torch.ones(256, 256, device="cuda", dtype=torch.bfloat16)
    found["product"] = float((a @ a)[0, 0])
print(json.dumps(found))
"""


def _torch(timeout_s: float) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", ASK_TORCH], capture_output=True, text=True, timeout=timeout_s
    )
    if done.returncode:
        raise Failure(f"torch cannot compute: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout)


def look(check: Check) -> Found:
    versions = packages.versions(packages.ALL)
    there, torch = nvidia.look().cards, _torch(check.left_s)
    shm = Path("/dev/shm")
    figures = {
        "cards": [asdict(card) for card in there],
        "versions": versions,
        "cuda": torch["cuda"],
        "free_disk_gib": round(disk.free(check.folder) / GIB, 1),
        "free_shm_gib": round(disk.free(shm) / GIB, 1) if shm.is_dir() else None,
    }
    if check.profile.hardware == "gpu":
        _check_cuda(torch)
    named = " ".join(f"{name} {version}" for name, version in versions.items())
    cards = "no GPU (nvidia-smi shows none)"
    if there:
        one = there[0]
        cards = f"{len(there)} x {one.name} {one.total / GIB:.0f} GiB, driver {one.driver}"
    return Found(f"{cards}; CUDA {torch['cuda'] or '-'}; {named}; free: disk "
                 f"{figures['free_disk_gib']} GiB, /dev/shm {figures['free_shm_gib']} GiB",
                 figures)  # fmt: skip


def _check_cuda(torch: dict[str, Any]) -> None:
    if not torch["cards"]:
        raise Failure(
            "nvidia-smi shows a card, and torch sees none. The packages may be those for the CPU: "
            "./train.sh --hardware gpu --version installs the others"
        )
    if torch["product"] != 256.0:
        raise Failure(f"a product of two bf16 matrices is {torch['product']} instead of 256")
