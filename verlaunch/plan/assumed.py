"""Machines that one does not have: --assume_gpus "2x8x141", for a plan that is made elsewhere.

    assumed("4 x H100", "1TB")   ->  Assumed(1, Machine(64, 931.3, 4 * (Gpu("H100", 80.0),)))
    assumed("2x8x141")           ->  two machines of eight cards of 141 GiB
    wished({"assume_gpus": "8x80"}, "dry_run")   ->  the same, of the flags; None without them

Nothing of this computer is meant then, but for the files that are named. Left out on purpose: cards
of several kinds in one run, and other vendors' cards.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from verlaunch.config.values import closest
from verlaunch.errors import UserError
from verlaunch.machine.hardware import Gpu, Machine
from verlaunch.text import GIB, plural

# Memory in GiB as nvidia-smi shows it, to a percent; of a name with several sizes the usual one.
CARDS = {
    "T4": 15, "V100": 32, "A10": 23, "A10G": 22, "L4": 22, "L40": 45, "L40S": 45, "RTX3090": 24,
    "RTX4090": 24, "RTX5090": 32, "A6000": 48, "RTXPRO6000": 95, "A40": 45, "A100": 80,
    "A100-40": 40, "A100-80": 80, "A800": 80, "H20": 96, "H100": 80, "H800": 80, "GH200": 95,
    "H200": 140, "B200": 180, "B300": 270,
}  # fmt: skip
EXAMPLES = 'such as 8x80, "4 x H100" or 2x8x141 (machines x GPUs x GiB each)'
MOST = 4096  # GPUs in all
ACTIONS = ("dry_run", "print_config")
CORES = 16  # per GPU
MEMORY_FACTOR = 2  # of main memory to the cards' where nothing is said
UNITS = {
    "": 1.0,
    "GIB": 1.0,
    "GB": 1e9 / GIB,
    "G": 1.0,
    "TIB": 1024.0,
    "TB": 1e12 / GIB,
    "T": 1024.0,
}


@dataclass(frozen=True)
class Assumed:
    """nodes: machines, each as `machine`."""

    nodes: int
    machine: Machine

    def settings(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The flags' values, with all of these GPUs where nothing else was said."""
        return {"hardware": "gpu", "n_gpus": len(self.machine.gpus), "nnodes": self.nodes, **values}

    @property
    def words(self) -> str:
        """ "2 machines of 8 GPUs of 141 GiB and 2,256 GiB of main memory"."""
        cards, many = self.machine.gpus, self.nodes > 1
        name = f"{cards[0].name} " * bool(cards[0].name)
        gpus = f"{plural(len(cards), f'{name}GPU')} of {cards[0].memory_gib:g} GiB"
        each = f"{self.nodes} machines of " if many else ""
        of_each = " each" * many
        return f"{each}{gpus} and {self.machine.memory_gib:,.0f} GiB of main memory{of_each}"


def wished(values: Mapping[str, Any], action: str | None) -> Assumed | None:
    """Raises UserError, also where something would run on what is not here."""
    gpus, memory = (values.get(name) for name in ("assume_gpus", "assume_memory"))
    if gpus is None:
        if memory is not None:
            raise UserError(f"--assume_memory {memory}: of which GPUs? Add --assume_gpus 8x80.")
        return None
    if action not in ACTIONS:
        raise UserError(
            f"--assume_gpus {gpus} plans for GPUs that are not here, where nothing can run. Add "
            "--dry_run, or leave it out."
        )
    if values.get("hardware") == "cpu":
        raise UserError(f"--assume_gpus {gpus} and --hardware cpu exclude each other.")
    return assumed(gpus, memory)


def assumed(gpus: str, memory: str | None = None) -> Assumed:
    """Raises UserError."""
    found = re.fullmatch(r"(?:(\d+)\s*[x×*]\s*)?(?:(\d+)\s*[x×*]\s*)?(\w.*)", gpus.strip(), re.I)
    counts = [int(count) for count in found.groups()[:2] if count] if found else [0]
    if not found or 0 in counts:
        raise UserError(f"--assume_gpus: '{gpus}' was given; it takes GPUs x GiB each, {EXAMPLES}.")
    nodes, here = (1, 1, *counts)[-2:]
    if nodes * here > MOST:
        raise UserError(f"--assume_gpus {gpus}: {nodes * here:,} GPUs are more than {MOST:,}.")
    name, size = _card(found[3], gpus)
    usual = MEMORY_FACTOR * size * here
    main = _gib(memory) if memory is not None else max(64.0, usual)
    return Assumed(nodes, Machine(CORES * here, main, here * (Gpu(name, size),)))


def _card(word: str, given: str) -> tuple[str, float]:
    """Its name, empty where a size was given, and its GiB."""
    plain = re.sub(r"NVIDIA|GEFORCE|TESLA|[\s_]", "", word.upper())
    if size := re.fullmatch(r"(\d+(?:\.\d+)?)(?:GI?B?)?", plain):
        if not 1 <= float(size[1]) <= 1024:
            raise UserError(f"--assume_gpus {given}: a GPU of {size[1]} GiB; between 1 and 1024.")
        return "", float(size[1])
    known = {name.replace("-", ""): name for name in CARDS}
    name = known.get(re.sub("-|GI?B$", "", plain))
    if name is None:
        meant = closest(plain, list(CARDS))
        raise UserError(
            f"--assume_gpus {given}: no GPU called '{word}' is known.{meant} Known are "
            f"{', '.join(CARDS)}; or give its memory, {EXAMPLES}."
        )
    return name, float(CARDS[name])


def _gib(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Z]*)", text.strip().upper())
    unit = UNITS.get(found[2]) if found else None
    if not found or unit is None or not 1 <= float(found[1]) * unit <= 1 << 20:
        raise UserError(
            f"--assume_memory: '{text}' was given; it takes an amount such as 512GB or 1TB, of "
            "each machine."
        )
    return float(found[1]) * unit
