"""--fit auto: settings with which a run fits, where the defaults do not; never one that was given.

    fit(config, shape, None, 24 * 2**30, 128 * 2**30)
    ->  Fit({"actor_rollout_ref.rollout.gpu_memory_utilization": 0.35}, ("...",))

Every combination of the knobs' positions is estimated, and of those that fit the cheapest is taken:
so more memory never leads to a costlier choice. Defaults that fit stay as they are, so that the
same command does the same on every machine that can hold it. Left out on purpose: whether a
setting is fast in practice; that takes a run.
"""

import sys
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace
from itertools import product
from math import inf, log2
from typing import Any

from verlaunch.config.tree import Config
from verlaunch.plan.memory.estimate import Estimate, Phase, estimate
from verlaunch.plan.memory.knobs import SHORT_CACHE, Position, knobs
from verlaunch.plan.memory.memory_keys import LORA_RANK
from verlaunch.plan.memory.shape import Shape
from verlaunch.plan.memory.use import Use
from verlaunch.text import GIB, gib

SPARE = 0.95  # of a card and of main memory: what the launcher chooses leaves a little
COUNTS = (1, 2, 4, 8, 16, 32, 64)  # GPUs that are tried when these do not do
PER_NODE = 8


@dataclass(frozen=True)
class Fit:
    """gpus: the fewest GPUs of this kind that would do; None where these do, or where none would.

    estimate: with the values filled in; None where nothing fits.
    """

    values: dict[str, Any]  # keys to fill; empty when all fits, or nothing helps
    said: tuple[str, ...]  # what was chosen, and what it costs
    gpus: int | None = None
    estimate: Estimate | None = None


@dataclass(frozen=True)
class Case:
    """A run on a kind of machine. held: keys that stay as they are."""

    shape: Shape
    critic: Shape | None  # None when it starts from the policy's model
    use: Use
    gpu_bytes: int | None  # of one card; None on the CPU
    host_bytes: int  # of one machine
    held: Set[str] = frozenset()
    share: float = 1.0  # of card and main memory that may be used


@dataclass(frozen=True)
class _Choice:
    positions: tuple[Position, ...]
    found: Estimate
    cost: float


def fits(found: Estimate, use: Use, gpu_bytes: int | None, host_bytes: int) -> bool:
    return _holds(found, gpu_bytes, host_bytes) and _room(found, use) >= 1


def _holds(found: Estimate, gpu_bytes: int | None, host_bytes: int) -> bool:
    peak = found.gpu_peak
    on_card = peak is None or gpu_bytes is None or peak.bytes <= gpu_bytes
    return on_card and found.host_peak.bytes <= host_bytes


def _room(found: Estimate, use: Use) -> float:
    """Responses of full length that the KV cache of a replica holds; vLLM starts with one."""
    on_cpu = use.hardware == "cpu"  # there vLLM's cache has a size of its own
    return inf if on_cpu or found.kv_tokens is None else found.kv_tokens / use.length


def _rounds(found: Estimate, use: Use) -> float:
    """How often the KV cache is filled for the responses of a step; 1 when all fit at once."""
    wanted = min(use.max_seqs, use.sequences * use.tp / use.ranks)
    return max(1.0, wanted / _room(found, use))


def _turned(case: Case, positions: Sequence[Position]) -> tuple[Use, Estimate]:
    fields = {name: value for one in positions for name, value in one.fields.items()}
    use = replace(case.use, **fields)
    return use, estimate(case.shape, case.critic, use, case.gpu_bytes)


def _choices(case: Case) -> Iterator[_Choice]:
    """Every combination that fits."""
    card = int(case.gpu_bytes * case.share) if case.gpu_bytes else None
    host = int(case.host_bytes * case.share)
    *others, cache = knobs(case.shape, case.use, case.critic, case.held)
    for combination in product(*others):
        _, leanest = _turned(case, (*combination, min(cache, key=lambda one: one.cache)))
        if not _holds(leanest, card, host):
            continue  # no size of vLLM's cache helps: nine in ten combinations end here
        for position in cache:
            positions = (*combination, position)
            use, found = _turned(case, positions)
            if _holds(found, card, host) and _room(found, use) >= 1:
                cost = sum(one.cost for one in positions)
                yield _Choice(positions, found, cost + SHORT_CACHE * log2(_rounds(found, use)))


def _cheapest(case: Case) -> _Choice | None:
    return min(_choices(case), key=lambda choice: choice.cost, default=None)


def _fits_somehow(case: Case) -> bool:
    return any(True for _ in _choices(case))


def fit(
    config: Config, shape: Shape, critic: Shape | None, gpu_bytes: int | None, host_bytes: int
) -> Fit:
    """`config`: with no number left open. The others: see Case."""
    if config.launch["fit"] != "auto":
        return Fit({}, ())
    use = Use.of(config.verl, config.launch, config.hardware)
    held = config.given | config.recipe_keys
    case = Case(shape, critic, use, gpu_bytes, host_bytes, held, SPARE)
    now = estimate(shape, critic, use, gpu_bytes)
    if fits(now, use, gpu_bytes, host_bytes):
        return Fit({}, (), estimate=now)
    if chosen := _cheapest(case):
        return _taken(case, now, chosen)
    gpus = enough_gpus(case)
    why = f"Nothing that may be changed makes this run fit: {_lack(case, now)}."
    none = f"Not even {COUNTS[-1]} GPUs like this would do. Use a smaller --model."
    more = () if gpus or use.hardware == "cpu" else (none,)
    return Fit({}, (why, *ways_out(case, gpus), *more), gpus)


def _taken(case: Case, now: Estimate, chosen: _Choice) -> Fit:
    turned = [one for one in chosen.positions if one.values]
    values = {key: value for one in turned for key, value in one.values.items()}
    why = f"As it was, {_lack(case, now)}. Now {_peaks(case, chosen.found)}."
    return Fit(
        values, (*(f"{one.words}: {one.price}." for one in turned), why), estimate=chosen.found
    )


def _lack(case: Case, found: Estimate) -> str:
    """Which memory is too small, for what, and by how much."""
    peak = found.gpu_peak
    if peak and case.gpu_bytes and peak.bytes > case.gpu_bytes:
        return f"the {_needs(peak, case.gpu_bytes)} per GPU"
    if found.host_peak.bytes > case.host_bytes:
        return f"the {_needs(found.host_peak, case.host_bytes)} of main memory"
    return (
        f"the KV cache at --gpu_memory_utilization {case.use.utilization:g} is too small for one "
        "sequence of full length"
    )


def _needs(phase: Phase, there: int) -> str:
    return f"{phase.name} needs {phase.bytes / GIB:.1f} of {gib(there)}"


def _peaks(case: Case, found: Estimate) -> str:
    host = f"{_needs(found.host_peak, case.host_bytes)} of main memory"
    if found.gpu_peak is None or case.gpu_bytes is None:
        return f"the {host}"
    return f"the {_needs(found.gpu_peak, case.gpu_bytes)} per GPU, and the {host}"


def enough_gpus(case: Case) -> int | None:
    """The fewest GPUs of this kind that do and are more, in machines like this one of up to 8."""
    return fewest_gpus(case, case.use.ranks + 1)


def fewest_gpus(case: Case, least: int = 1) -> int | None:
    if case.use.hardware == "cpu":
        return None
    for count in COUNTS:
        per_node = min(count, PER_NODE)
        use = replace(case.use, gpus_per_node=per_node, nodes=count // per_node)
        if count >= least and count % use.tp == 0 and _fits_somehow(replace(case, use=use)):
            return count
    return None


def ways_out(case: Case, gpus: int | None) -> tuple[str, ...]:
    """What the user may change that the launcher may not. gpus: those that would be enough."""
    said, use = [], case.use
    if free := _cheapest(replace(case, held=frozenset())):
        said.append(f"It would fit with {_typed(free)}.")
    elif lavish := _cheapest(replace(case, held=frozenset(), host_bytes=sys.maxsize)):
        host = _needs(lavish.found.host_peak, case.host_bytes)
        said.append(
            f"It would fit the GPU with {_typed(lavish)}, but then the {host} of main memory."
        )
    # The model without its adapter is the reference then (trainer_base.py:236).
    adapter = replace(use, lora_rank=LORA_RANK, reference=False)
    if not use.lora_rank and (thin := _cheapest(replace(case, use=adapter))):
        typed = f"--lora_rank {LORA_RANK} {_typed(thin)}".rstrip()
        said.append(f"It would fit with {typed}, which trains an adapter only.")
    alone = replace(use, gpus_per_node=1, tp=1)
    if use.gpus_per_node > 1 and not free and _fits_somehow(replace(case, use=alone)):
        said.append("It would fit with --n_gpus 1.")
    if gpus:
        where = f"--n_gpus {gpus}" if gpus <= PER_NODE else f"{gpus // PER_NODE} machines of 8"
        said.append(f"{gpus} GPUs like this would do with --fit auto ({where}).")
    return tuple(said)


def _typed(choice: _Choice) -> str:
    return " ".join(one.typed for one in choice.positions if one.typed)
