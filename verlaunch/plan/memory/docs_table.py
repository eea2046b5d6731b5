"""The table of docs/memory.md: which model fits on which cards, and what --fit auto chooses there.

    print(markdown())     # scripts/make_docs.py puts it between the page's markers

Made by the launcher's own functions, from shapes that are kept beside this file. Left out on
purpose: lengths, batches and recipes other than the defaults; --dry_run tells those.
"""

import functools
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from verlaunch.config.compose import compose, fill
from verlaunch.config.derive import Facts, derive
from verlaunch.config.flags import parse
from verlaunch.config.tree import Config, put
from verlaunch.plan.memory.fit import LORA_RANK, Fit, fit
from verlaunch.plan.memory.memory_keys import KV_CACHE, OFFLOAD, TOKENS, TP, UTILIZATION
from verlaunch.plan.memory.shape import Linear, Shape
from verlaunch.text import GIB, MIB

KNOWN = Path(__file__).with_name("known_models.yaml")
ROWS = 100_000  # of data: enough for the default batch
VOCAB = 152064  # of the larger models; 151936 of the smaller ones makes no difference to see


@dataclass(frozen=True)
class Machines:
    name: str
    per_node: int
    card_mib: int  # as nvidia-smi shows it
    host_gib: int  # main memory of each
    nodes: int = 1


RTX_4090, L40S, H100, H200 = 24564, 46068, 81559, 143771
MACHINES = (
    Machines("1 x 24 GB", 1, RTX_4090, 256),
    Machines("1 x 48 GB", 1, L40S, 256),
    Machines("1 x 80 GB", 1, H100, 256),
    Machines("2 x 80 GB", 2, H100, 256),
    Machines("4 x 80 GB", 4, H100, 1024),
    Machines("8 x 24 GB", 8, RTX_4090, 1024),
    Machines("8 x 80 GB", 8, H100, 2048),
    Machines("8 x 141 GB", 8, H200, 2048),
    Machines("8 x 8 x 141 GB", 8, H200, 2048, 8),
)


@functools.cache
def known_models() -> dict[str, Shape]:
    """ "7B" -> its shape."""
    rows = yaml.safe_load(KNOWN.read_text(encoding="utf-8"))
    return {name: _shape(f"Qwen/Qwen2.5-{name}", row) for name, row in rows.items()}


def _shape(name: str, row: dict[str, Any]) -> Shape:
    linears = tuple(Linear(word, *sizes) for word, sizes in row["linears"].items())
    return Shape(**{**row, "name": name, "linears": linears})


@functools.cache
def _base(lora_rank: int) -> Config:
    return compose(parse(["--hardware", "gpu", "--lora_rank", str(lora_rank)], {}), "gpu")


@functools.cache
def config_on(machines: Machines, lora_rank: int) -> Config:
    """The defaults on these machines, with no number left open."""
    base = _base(lora_rank)
    sizes = {"trainer.n_gpus_per_node": machines.per_node, "trainer.nnodes": machines.nodes}
    verl = deepcopy(base.verl)
    for key, value in sizes.items():
        put(verl, key, value)
    card_gib = machines.card_mib / 1024
    facts = Facts("gpu", 16 * machines.per_node, card_gib, ROWS, VOCAB, "model", "run", "folder")
    return fill(base, {**sizes, **derive(verl, facts)})


@functools.cache
def fit_on(machines: Machines, shape: Shape, lora_rank: int = 0) -> Fit:
    config = config_on(machines, lora_rank)
    return fit(config, shape, None, machines.card_mib * MIB, machines.host_gib * GIB)


def code(values: dict[str, Any]) -> str:
    """What was chosen, in few words: "offload all, tp 4, 1024 tokens"."""
    words = {
        OFFLOAD: "offload {}",
        TP: "tp {}",
        UTILIZATION: "utilisation {:g}",
        TOKENS: "{} tokens",
        KV_CACHE: "KV cache {}",
    }
    return ", ".join(say.format(values[key]) for key, say in words.items() if key in values)


def cell(found: Fit) -> str:
    if found.estimate is None or found.estimate.gpu_peak is None:
        return f"no; {found.gpus} GPUs" if found.gpus else "no"
    peak, host = found.estimate.gpu_peak.bytes / GIB, found.estimate.host_peak.bytes / GIB
    return f"{code(found.values) or 'as it is'}<br>{peak:.0f} / {host:.0f}"


def _table(lora_rank: int) -> list[str]:
    names = [machines.name for machines in MACHINES]
    lines = [f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for name, shape in known_models().items():
        cells = [cell(fit_on(machines, shape, lora_rank)) for machines in MACHINES]
        lines.append(f"| **{name}** | {' | '.join(cells)} |")
    return lines


def markdown() -> str:
    full, adapter = _table(0), _table(LORA_RANK)
    return "\n".join(
        [
            "All weights of policy and critic are trained:",
            "",
            *full,
            "",
            f"With `--lora_rank {LORA_RANK}` (the critic is still trained whole):",
            "",
            *adapter,
        ]
    )
