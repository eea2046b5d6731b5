"""Writes a lock for pip from uv's pylock.toml: a pin, where it holds, and each file that it may be.

    python scripts/lock/hashed.py pylock.toml [--torch locks/torch-cpu.sha256] >locks/cpu.txt

    contourpy==1.3.2 ; python_full_version < '3.11' \\
        --hash=sha256:106fab697af11456fcba3e352ad50effe493a90f893fca6c2ca5c033820cea92 \\
        ...

Only files of the Pythons and machines that we install on are named: a wheel for each where there is
one. A source archive, whose code runs when it is built, is named only where a wheel is missing,
and told. uv itself names the files of all platforms (7000 lines), and cannot say which is which.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

from packaging.markers import Marker
from packaging.tags import Tag
from packaging.utils import parse_wheel_filename

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib  # type: ignore[no-redef]

MACHINES = ("x86_64", "aarch64")
HEADER = (
    "# Made by scripts/lock.sh for Linux, x86-64 and aarch64. A file of another hash is refused."
)

Place = tuple[int, str]  # (11, "x86_64")


def environment(place: Place) -> dict[str, str]:
    return {
        "python_version": f"3.{place[0]}",
        "python_full_version": f"3.{place[0]}.1",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": place[1],
        "extra": "",
    }


def those_of(marker: str, places: list[Place]) -> list[Place]:
    return [p for p in places if not marker or Marker(marker).evaluate(environment(p))]


def words_of(places: list[Place], everywhere: list[Place]) -> str:
    """The marker that says so, as short as it can be: "" for everywhere."""
    minors = sorted({minor for minor, _ in places})
    machines = {machine for _, machine in places}
    if len(places) != len(minors) * len(machines) or minors[-1] - minors[0] >= len(minors):
        raise ValueError(f"no short marker for {places}")
    words = []
    if minors[0] > everywhere[0][0]:
        words.append(f"python_full_version >= '3.{minors[0]}'")
    if minors[-1] < everywhere[-1][0]:
        words.append(f"python_full_version < '3.{minors[-1] + 1}'")
    if len(machines) < len(MACHINES):
        words.append(f"platform_machine == '{machines.pop()}'")
    return " and ".join(words)


def runs(tag: Tag, place: Place) -> bool:
    """Whether a wheel with this tag runs there; abi3 is of that Python or an earlier one."""
    minor, machine = place
    if tag.platform != "any" and not re.fullmatch(f"(many)?linux.*_{machine}", tag.platform):
        return False
    kind, since = tag.interpreter[:3], tag.interpreter[3:] or "0"
    if not since.isdigit() or kind not in ("py3", "cp3"):
        return False
    if tag.abi == "abi3" or (kind, tag.abi) == ("py3", "none"):
        return int(since) <= minor
    return int(since) == minor and tag.abi in ("none", f"cp3{minor}")


def name_of(file: dict[str, Any]) -> str:
    return str(file["url"]).rpartition("/")[2].replace("%2B", "+")


def told(place: Place) -> str:
    return "3.{} {}".format(*place)


def files_for(package: dict[str, Any], places: list[Place]) -> Iterator[str]:
    """SHA-256 of each file that may be installed there."""
    wheels = {name_of(one): one["hashes"]["sha256"] for one in package.get("wheels", [])}
    tags = {name: parse_wheel_filename(name)[3] for name in wheels}
    lacking = []
    for place in places:
        fitting = [name for name in wheels if any(runs(tag, place) for tag in tags[name])]
        yield from (wheels[name] for name in fitting)
        if not fitting:
            lacking.append(told(place))
    if lacking:
        where = ", ".join(lacking) if set(lacking) != {*map(told, places)} else "everywhere"
        kind = "source" if "sdist" in package else "NOTHING"
        print(f"{package['name']} {package['version']}: {kind} on {where}", file=sys.stderr)
        if "sdist" in package:
            yield package["sdist"]["hashes"]["sha256"]


def read_torch(path: Path, version: str) -> list[str]:
    """Hashes of torch's own CPU builds, which the usual index does not have."""
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line]
    rows = [words for words in lines if words[0] != "#"]
    if any(not name.startswith(f"torch-{version}+cpu-") for _, name in rows):
        raise ValueError(f"{path} is of another torch than {version}: see its first lines")
    return [digest for digest, _ in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pylock", type=Path)
    parser.add_argument("--torch", type=Path, help="the hashes of torch's CPU builds")
    parser.add_argument("--newest", type=int, default=14, help="the last minor of Python 3")
    arguments = parser.parse_args()
    places = list(product(range(10, arguments.newest + 1), MACHINES))
    print(HEADER)
    for package in tomllib.loads(arguments.pylock.read_text(encoding="utf-8"))["packages"]:
        name, version = package["name"], package["version"]
        here = those_of(package.get("marker", ""), places)
        if not here:
            continue
        if name == "torch" and arguments.torch:
            digests = read_torch(arguments.torch, version)
        else:
            digests = sorted(set(files_for(package, here)))
        words = words_of(here, places)
        pin = f"{name}=={version}" + (f" ; {words}" if words else "")
        print(pin, *(f"    --hash=sha256:{digest}" for digest in digests), sep=" \\\n")


if __name__ == "__main__":
    main()
