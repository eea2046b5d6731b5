"""How much memory a run takes: of its card, as nvidia-smi shows it, or of its processes on a CPU.

    before = cards_used()
    with Sampler("gpu", pid, before) as sampler: ...
    sampler.peak_bytes

What lay on the cards before is taken off. On a CPU it is the proportional set size (PSS), which
counts shared pages once.
"""

import contextlib
import re
import subprocess
import threading
from pathlib import Path

from verlaunch.machine import processes
from verlaunch.text import MIB

EVERY_S = 0.5


def cards_used() -> dict[int, int]:
    """Bytes in use by card; empty where nvidia-smi does not answer."""
    asked = ["nvidia-smi", "--query-gpu=index,memory.used", "--format=csv,noheader,nounits"]
    try:
        out = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    rows = (line.split(",") for line in out.splitlines() if line.count(",") == 1)
    return {int(i): int(mib) * MIB for i, mib in rows if mib.strip().isdigit()}


def shared_out(root: int) -> int:
    """PSS of a process and all below it, in bytes."""
    total = 0
    for pid in (root, *processes.descendants(root)):
        with contextlib.suppress(OSError):  # gone meanwhile
            found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
            total += int(found[1]) * 1024 if found else 0
    return total


class Sampler(threading.Thread):
    """Samples until the `with` ends. On GPUs: the card that grew most."""

    def __init__(self, hardware: str, root: int, before: dict[int, int]) -> None:
        super().__init__(daemon=True)
        self.hardware, self.root, self.before = hardware, root, before
        self.peak_bytes = 0
        self.ended = threading.Event()

    def __enter__(self) -> "Sampler":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.join()

    def run(self) -> None:
        while not self.ended.wait(EVERY_S):
            self.peak_bytes = max(self.peak_bytes, self.now())

    def now(self) -> int:
        if self.hardware == "cpu":
            return shared_out(self.root)
        grown = [used - self.before.get(i, 0) for i, used in cards_used().items()]
        return max(grown, default=0)
