"""What nvidia-smi says of each card at this moment, and the newest CUDA that its driver speaks.

    look()  ->  Seen(cards=(Card(0, "GPU-9f..", "NVIDIA H200", ...),), busy=(Busy(0, 4242, ..),))

hardware.py knows the cards that a run may use; this is for what is wrong with them. Left out on
purpose: programs of other containers, whose memory is seen but not their names.
"""

import ctypes
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from verlaunch.text import MIB

LIMIT_S = 10  # a hung driver must not hang a start
FIELDS = ("index", "uuid", "memory.total", "memory.free", "compute_mode", "mig.mode.current",
          "driver_version", "compute_cap", "name")  # fmt: skip
OLD_FIELDS = tuple(name for name in FIELDS if name != "compute_cap")  # drivers before 470
PROGRAMS = "gpu_uuid,pid,used_memory,process_name"
KERNEL = Path("/proc/driver/nvidia/version")  # seen from containers that have no GPU, too


@dataclass(frozen=True)
class Card:
    index: int  # nvidia-smi's
    uuid: str
    name: str
    total: int  # bytes; 0 for a chip that shares the machine's memory
    free: int
    compute_mode: str = "Default"
    mig: bool = False
    driver: str = ""
    capability: tuple[int, int] | None = None  # None where the driver is too old to say


@dataclass(frozen=True)
class Busy:
    """A program that holds memory of a GPU."""

    gpu: int
    pid: int
    name: str
    bytes: int


@dataclass(frozen=True)
class Seen:
    cards: tuple[Card, ...] = ()
    busy: tuple[Busy, ...] = ()
    error: str = ""
    driver_cuda: tuple[int, int] | None = None


def _bytes(mib: str) -> int:
    return int(mib) * MIB if mib.isdigit() else 0


def _pair(version: str) -> tuple[int, int] | None:
    major, _, minor = version.partition(".")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else None


def read_cards(text: str, fields: Sequence[str] = FIELDS) -> tuple[Card, ...]:
    """Rows of `fields`, the name last, for it may hold a comma."""
    cards = []
    for line in text.splitlines():
        words = [word.strip() for word in line.split(",", len(fields) - 1)]
        facts = dict(zip(fields, words, strict=False))
        if len(words) == len(fields) and facts["index"].isdigit():
            cards.append(_card(facts))
    return tuple(cards)


def _card(facts: dict[str, str]) -> Card:
    return Card(
        index=int(facts["index"]),
        uuid=facts["uuid"],
        name=facts["name"],
        total=_bytes(facts["memory.total"]),
        free=_bytes(facts["memory.free"]),
        compute_mode=facts["compute_mode"],
        mig=facts["mig.mode.current"] == "Enabled",
        driver=facts["driver_version"],
        capability=_pair(facts.get("compute_cap", "")),
    )


def read_programs(text: str, cards: Sequence[Card]) -> tuple[Busy, ...]:
    index, found = {card.uuid: card.index for card in cards}, []
    for line in text.splitlines():
        words = [word.strip() for word in line.split(",", 3)]
        if len(words) == 4 and words[0] in index and words[1].isdigit():
            found.append(Busy(index[words[0]], int(words[1]), words[3], _bytes(words[2])))
    return tuple(found)


def _ask(what: str, fields: str) -> tuple[int, str]:
    """nvidia-smi's exit code and what it printed, an error of its own among it."""
    command = ["nvidia-smi", f"--query-{what}={fields}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        return 1, f"no answer within {LIMIT_S} s"
    except OSError as error:
        return 1, str(error.strerror)
    return done.returncode, done.stdout.strip() or done.stderr.strip()


def _driver_cuda() -> tuple[int, int] | None:
    """As torch will see it, with a CUDA compatibility package too; nothing is started on a card."""
    version = ctypes.c_int(0)
    try:
        failed = ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version))
    except (OSError, AttributeError):
        return None
    return None if failed else (version.value // 1000, version.value % 1000 // 10)


def cards() -> tuple[tuple[Card, ...], str]:
    """All, or why nvidia-smi shows none; neither on a machine without NVIDIA's driver."""
    if shutil.which("nvidia-smi") is None:
        return (), "nvidia-smi is not there" if KERNEL.exists() else ""
    fields: tuple[str, ...] = FIELDS
    code, text = _ask("gpu", ",".join(fields))
    if code and "compute_cap" in text:
        fields = OLD_FIELDS
        code, text = _ask("gpu", ",".join(fields))
    found = read_cards(text, fields)
    if code or not found:
        return (), (" ".join(text.split()) or f"nvidia-smi ended with code {code}")[:200]
    return found, ""


def look() -> Seen:
    found, error = cards()
    if not found:
        return Seen(error=error)
    code, programs = _ask("compute-apps", PROGRAMS)
    return Seen(found, () if code else read_programs(programs, found), "", _driver_cuda())
