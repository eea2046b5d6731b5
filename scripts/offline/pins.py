"""Which packages a bundle holds: the lock's pins for one Python, less what the target has.

chosen = choose("locks/gpu.txt", "3.12", have=read_freeze("target.txt"), minimal=True)
chosen.pins        # {"ray": "2.60.0", ...}: to be downloaded
chosen.on_target   # {"torch": "2.11.0+cu129", ...}: in a good version there
chosen.left_out    # {"flashinfer-python": "its sampler and attention; ..."}
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

TEXT_ONLY = Path(__file__).with_name("text_only.txt")

# What torch's own CUDA wheels are for. A torch that is there has brought them, by whatever names
# (a container's, conda's), so other versions of these are no reason to send them.
TORCHS_OWN = """
    cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti nvidia-cuda-nvrtc
    nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand nvidia-cusolver
    nvidia-cusparse nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13
    nvidia-nvtx triton
"""


class Refused(Exception):
    """What the user can mend: shown as one message, with exit code 2 and no traceback."""


@dataclass(frozen=True)
class Choice:
    """Versions by name, and a reason by name for what is left out."""

    pins: dict[str, str] = field(default_factory=dict)
    on_target: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def is_good(version: str, pinned: str) -> bool:
    """Whether `version` may stand for the pinned one: the same, or a build of it (2.11.0+cu129)."""
    return version == pinned or version.split("+")[0] == pinned


def read_lock(lock: Path, python: str) -> dict[str, str]:
    """What pip is asked for, by name, for CPython `python` (3.12) on Linux x86-64.

    {"tiny": "tiny==2.0 --hash=sha256:...", ...}
    """
    from pip._vendor.packaging.requirements import Requirement  # comes with every pip

    machine = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
    }
    found = {}
    for line in lock.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        words, *hashes = line.split("#")[0].split(" --hash=")
        if words.strip():
            wanted = Requirement(words.strip())
            if wanted.marker is None or wanted.marker.evaluate(machine):
                pin = f"{wanted.name}{wanted.specifier}"
                found[normal(wanted.name)] = " --hash=".join([pin, *map(str.strip, hashes)])
    return found


def version_in(line: str) -> str:
    """2.0 of tiny==2.0 --hash=sha256:..."""
    return line.split()[0].partition("==")[2]


def read_freeze(path: Path) -> dict[str, str]:
    """Versions by name, as `pip freeze` or `pip list --format=freeze` prints them.

    A line without a version (torch @ file:///...) counts as absent: nobody knows what it is.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(
            f"--have {path} cannot be read: {error}. On the target type: "
            "python3 -m pip list --format=freeze >have.txt"
        ) from None
    lines = re.findall(r"^([A-Za-z0-9][\w.-]*)==([^\s;]+)", text, re.M)
    if not lines:
        raise Refused(
            f"--have {path} names no package as NAME==VERSION. On the target type: "
            "python3 -m pip list --format=freeze >have.txt"
        )
    return {normal(name): version for name, version in lines}


def text_only() -> dict[str, str]:
    """Reasons by name: what text-only training never imports."""
    lines = TEXT_ONLY.read_text(encoding="utf-8").splitlines()
    pairs = (line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))
    return {name: reason.strip() for name, reason in pairs}


def choose(lock: Path, python: str, have: Mapping[str, str], minimal: bool) -> Choice:
    wanted = {name: version_in(line) for name, line in read_lock(lock, python).items()}
    there = {n: have[n] for n, pin in wanted.items() if n in have and is_good(have[n], pin)}
    if "torch" in there:
        theirs = set(TORCHS_OWN.split()) & wanted.keys()
        there |= {name: have.get(name, "") for name in theirs - there.keys()}
    reasons = text_only() if minimal else {}
    left_out = {name: reasons[name] for name in wanted if name in reasons and name not in there}
    pins = {n: pin for n, pin in wanted.items() if n not in there and n not in left_out}
    return Choice(pins, dict(sorted(there.items())), left_out)
