"""How much memory a run takes: of its cards, as nvidia-smi shows it, or of its processes.

    with Sampler(lambda: taken("cpu", pid, {})) as sampler: ...
    max(size for _, size in sampler.samples)

Of processes it is the proportional set size (PSS), which counts shared pages once.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import psutil

from verlaunch.machine import nvidia

EVERY_S = 0.25
Seen = TypeVar("Seen")


def cards_used() -> dict[int, int]:
    """Bytes in use by card; empty where nvidia-smi does not answer."""
    return {card.index: card.total - card.free for card in nvidia.look().cards}


def of_processes(root: int) -> dict[tuple[int, str], int]:
    """PSS of a process and of all below it, in bytes, by number and command line."""
    return {(one.pid, command): memory.pss for one, command, memory in tree(root)}


def tree(root: int) -> list[tuple[psutil.Process, str, Any]]:
    """A process and all below it: with its command line, and psutil's rss, pss and uss in bytes."""
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        top = psutil.Process(root)
        for one in (top, *top.children(recursive=True)):
            with contextlib.suppress(psutil.Error):  # gone meanwhile
                command, memory = " ".join(one.cmdline()), one.memory_full_info()
                if memory.rss:  # a zombie has none
                    found.append((one, command, memory))
    return found


class Sampler(threading.Thread, Generic[Seen]):
    """Looks again and again until the `with` ends."""

    def __init__(self, look: Callable[[], Seen], every_s: float = EVERY_S) -> None:
        super().__init__(daemon=True)
        self.look, self.every_s = look, every_s
        self.samples: list[tuple[float, Seen]] = []  # time.time(), what was seen
        self.ended = threading.Event()

    def __enter__(self) -> "Sampler[Seen]":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.join()

    def run(self) -> None:
        while True:
            self.samples.append((time.time(), self.look()))
            if self.ended.wait(self.every_s):
                return


def taken(hardware: str, root: int, before: dict[int, int]) -> int:
    """Bytes now: of all processes, or of the card that has most more than `before`."""
    if hardware == "cpu":
        return sum(of_processes(root).values())
    return max((used - before.get(i, 0) for i, used in cards_used().items()), default=0)
