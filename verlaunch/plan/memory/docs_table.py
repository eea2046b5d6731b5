"""The table of docs/memory.md: which model fits on which cards, and what --fit auto chooses there.

    print(markdown())     # scripts/make_docs.py puts it between the page's markers

Made by the launcher's own functions, from the sizes below, so that it takes no torch. Left out on
purpose: lengths, batches and recipes other than the defaults; --dry_run tells those.
"""

import functools
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from verlaunch.config.compose import compose, fill
from verlaunch.config.derive import Facts, derive
from verlaunch.config.flags import parse
from verlaunch.config.tree import Config, put
from verlaunch.plan.memory.fit import LORA_RANK, Fit, fit
from verlaunch.plan.memory.memory_keys import KV_CACHE, OFFLOAD, TOKENS, TP, UTILIZATION
from verlaunch.plan.memory.shape import Linear, Shape
from verlaunch.text import GIB, MIB

ROWS = 100_000  # of data: enough for the default batch
VOCAB = 152064  # of the larger models; 151936 of the smaller ones makes no difference to see


# Of Qwen2.5: parameters, layers, hidden and feed-forward size, vocabulary, heads, those of keys and
# values; whether the output layer is the embedding.
MODELS = {
    "0.5B": (494_032_768, 24, 896, 4864, 151936, 14, 2, True),
    "1.5B": (1_543_714_304, 28, 1536, 8960, 151936, 12, 2, True),
    "3B": (3_085_938_688, 36, 2048, 11008, 151936, 16, 2, True),
    "7B": (7_615_616_512, 28, 3584, 18944, 152064, 28, 4, False),
    "14B": (14_770_033_664, 48, 5120, 13824, 152064, 40, 8, False),
    "32B": (32_763_876_352, 64, 5120, 27648, 152064, 40, 8, False),
    "72B": (72_706_203_648, 80, 8192, 29568, 152064, 64, 8, False),
}


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
    return {name: _shape(f"Qwen/Qwen2.5-{name}", *sizes) for name, sizes in MODELS.items()}


def _shape(
    name: str,
    parameters: int,
    layers: int,
    hidden: int,
    wide: int,
    vocab: int,
    heads: int,
    kv_heads: int,
    tied: bool,
) -> Shape:
    """As shape.py reads it from the model's config.json."""
    keys, embedding = kv_heads * hidden // heads, vocab * hidden
    sizes = {"q_proj": (hidden, hidden), "k_proj": (hidden, keys), "v_proj": (hidden, keys),
             "o_proj": (hidden, hidden), "gate_proj": (hidden, wide), "up_proj": (hidden, wide),
             "down_proj": (wide, hidden)}  # fmt: skip
    linears = tuple(Linear(word, *size, layers) for word, size in sizes.items())
    return Shape(
        name, parameters, embedding, 0 if tied else embedding, layers, hidden, wide, vocab, heads,
        kv_heads, hidden // heads, linears, active=parameters, norms=2 * hidden,
    )  # fmt: skip


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
