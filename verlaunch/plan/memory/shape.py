"""The sizes of a model, from its config.json alone: how many weights, of which kind.

    shape_of(json.loads(Path("config.json").read_text()), "Qwen/Qwen2.5-0.5B").parameters
    ->  494032768

transformers itself builds the model, on torch's meta device: no weights, no network, no remote
code. That takes a process with torch in it (meta.py) and about 7 s, so the answer is kept in the
cache. Left out on purpose: weights that a checkpoint stores quantized; verl trains them whole.
"""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from verlaunch.errors import UserError
from verlaunch.inputs.caches import Cache, cache_of
from verlaunch.paths import cache_dir

FORMAT = 3  # of the cached answer: change it with Shape
TIMEOUT_S = 120
# No device: the child must not take memory of a card that a run is about to fill.
ALONE = {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "TRANSFORMERS_VERBOSITY": "error"}


@dataclass(frozen=True)
class Linear:
    """Linear layers of one name: `name` is its last word, as LoRA targets say it ("q_proj")."""

    name: str
    inputs: int
    outputs: int
    count: int


@dataclass(frozen=True)
class Shape:
    """Counts of numbers, not of bytes. Tied weights count once."""

    name: str
    parameters: int  # of the causal language model
    embedding: int  # of them in the input embedding
    head: int  # of them in an output layer of its own; 0 when it is tied to the embedding
    layers: int
    hidden: int
    intermediate: int  # of the experts that one token passes through, added up
    vocab: int
    heads: int
    kv_heads: int
    head_dim: int
    linears: tuple[Linear, ...]  # but the output layer
    active: int  # parameters that one token passes through; fewer than all with experts
    stored: int = 2  # bytes of a number in the published weights
    norms: int = 0  # numbers that one layer normalizes per token; 0: twice the hidden size
    cache: Cache | None = None  # None: keys and values of all heads, layers and tokens

    @property
    def body(self) -> int:
        """Weights of the layers between embedding and output layer."""
        return self.parameters - self.embedding - self.head


def shape_of(config: dict[str, Any], name: str) -> Shape:
    """`config`: what config.json holds. Raises UserError where transformers knows no such model."""
    text = json.dumps(config, sort_keys=True)
    cached = cache_dir() / "shapes" / f"{hashlib.sha256(text.encode()).hexdigest()}-{FORMAT}.json"
    found = _read(cached)
    if found is None:
        found = _ask(text, name)
        _keep(cached, found)
    cache = cache_of(config)  # of other names than most (GPT-2's n_layer) it knows nothing
    return replace(found, name=name, cache=cache if cache.most else None)


def _shape(answer: dict[str, Any]) -> Shape:
    linears = tuple(Linear(**linear) for linear in answer.pop("linears"))
    return Shape(linears=linears, **answer)


def _read(cached: Path) -> Shape | None:
    """None where nothing is kept, or what is kept is damaged."""
    try:
        return _shape(json.loads(cached.read_text()))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _keep(cached: Path, shape: Shape) -> None:
    """Whole or not at all; a cache that cannot be written costs a few seconds the next time."""
    partial = cached.with_suffix(f".{os.getpid()}")
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(asdict(shape)))
        partial.replace(cached)
    except OSError:
        pass


def _ask(text: str, name: str) -> Shape:
    answer = _child(text, name)
    if "error" in answer:
        raise _unknown(name, answer["error"])
    return _shape(answer)


def _child(text: str, name: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "verlaunch.plan.memory.meta"]
    # The package may not be installed: a checkout is found through its own folder.
    root = str(Path(__file__).resolve().parents[3])
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    env = {**os.environ, **ALONE, "PYTHONPATH": paths}
    try:
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=TIMEOUT_S, env=env
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _unknown(name, str(error)) from None
    try:
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise _unknown(name, last) from None
    return answer


def _unknown(name: str, reason: str) -> UserError:
    first = " ".join(reason.split()).split(". ")[0].rstrip(".")
    return UserError(f"The sizes of {name} are not known: {first[:160]}.")
