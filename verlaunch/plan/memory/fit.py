"""--fit auto: settings with which a run fits, where the defaults do not; never one that was given.

    fit(config, shape, None, 24 * 2**30, 128 * 2**30)
    ->  Fit({"actor_rollout_ref.rollout.gpu_memory_utilization": 0.35}, ("...",))

Every combination of the knobs' positions is estimated, and of those that fit the cheapest is taken:
so more memory never leads to a costlier choice. Defaults that fit stay as they are, so that the
same command does the same on every machine that can hold it. Left out on purpose: whether a
setting is fast in practice; that takes a run.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import inf, log2
from typing import Any

from verlaunch.config.tree import Config
from verlaunch.plan.memory.estimate import Estimate, Phase, estimate
from verlaunch.plan.memory.knobs import SHORT_CACHE, Position, knobs, with_adapter
from verlaunch.plan.memory.memory_keys import LORA_RANK
from verlaunch.plan.memory.shape import Shape
from verlaunch.plan.memory.use import Use
from verlaunch.text import GIB, gib

SPARE = 0.95  # of a card and of main memory: what is chosen leaves a little
COUNTS = (1, 2, 4, 8, 16, 32, 64)  # GPUs that are tried when these do not do
PER_NODE = 8


@dataclass(frozen=True)
class Fit:
    """gpus: the fewest GPUs of this kind that would do; None where these do, or where none would.

    estimate: with the values filled in; None where nothing fits. ways: what the user may change
    then that the launcher may not.
    """

    values: dict[str, Any]  # keys to fill; empty when all fits, or nothing helps
    said: tuple[str, ...]  # what was chosen, and what it costs
    gpus: int | None = None
    estimate: Estimate | None = None
    ways: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Case:
    """A run on a kind of machine."""

    config: Config
    shape: Shape
    critic: Shape | None
    use: Use
    gpu_bytes: int | None
    host_bytes: int


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


def _turned(case: _Case, positions: Sequence[Position]) -> tuple[Use, Estimate]:
    fields = {name: value for one in positions for name, value in one.fields.items()}
    use = replace(case.use, **fields)
    return use, estimate(case.shape, case.critic, use, case.gpu_bytes)


def _choices(case: _Case) -> Iterator[_Choice]:
    """Every combination that fits, with a little to spare."""
    card = int(case.gpu_bytes * SPARE) if case.gpu_bytes else None
    host = int(case.host_bytes * SPARE)
    *others, cache = knobs(case.config, case.shape, case.use, case.critic)
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


def _cheapest(case: _Case) -> _Choice | None:
    return min(_choices(case), key=lambda choice: choice.cost, default=None)


def fit(
    config: Config, shape: Shape, critic: Shape | None, gpu_bytes: int | None, host_bytes: int
) -> Fit:
    """`config`: with no number left open. `critic`: None when it starts from the policy's model.

    gpu_bytes: of one card, None on the CPU. host_bytes: of one machine.
    """
    if config.launch["fit"] != "auto":
        return Fit({}, ())
    use = Use.of(config.verl, config.launch, config.hardware)
    case = _Case(config, shape, critic, use, gpu_bytes, host_bytes)
    now = estimate(shape, critic, use, gpu_bytes)
    if fits(now, use, gpu_bytes, host_bytes):
        return Fit({}, (), estimate=now)
    chosen = _cheapest(case)
    return _taken(case, now, chosen) if chosen else _none(case, now)


def _taken(case: _Case, now: Estimate, chosen: _Choice) -> Fit:
    turned = [one for one in chosen.positions if one.values]
    values = {key: value for one in turned for key, value in one.values.items()}
    why = f"As it was, {_lack(case, now)}. Now {_peaks(case, chosen.found)}."
    return Fit(
        values, (*(f"{one.words}: {one.price}." for one in turned), why), estimate=chosen.found
    )


def _none(case: _Case, now: Estimate) -> Fit:
    said = [f"Nothing that may be changed makes this run fit: {_lack(case, now)}."]
    if case.use.hardware == "cpu":
        ways = tuple(_ways_out(case))
        return Fit({}, (*said, *ways), ways=ways)
    gpus = _enough(case)
    ways = tuple(_ways_out(case))
    return Fit({}, (*said, *ways, _more(gpus)), gpus, ways=(*ways, _more(gpus)) if gpus else ways)


def _lack(case: _Case, found: Estimate) -> str:
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


def _peaks(case: _Case, found: Estimate) -> str:
    host = f"{_needs(found.host_peak, case.host_bytes)} of main memory"
    if found.gpu_peak is None or case.gpu_bytes is None:
        return f"the {host}"
    return f"the {_needs(found.gpu_peak, case.gpu_bytes)} per GPU, and the {host}"


def _enough(case: _Case) -> int | None:
    """The fewest GPUs of this kind that do, in machines like this one of up to 8."""
    for count in COUNTS:
        per_node = min(count, PER_NODE)
        use = replace(case.use, gpus_per_node=per_node, nodes=count // per_node)
        if count > case.use.ranks and any(True for _ in _choices(replace(case, use=use))):
            return count
    return None


def _more(gpus: int | None) -> str:
    if gpus is None:
        return f"Not even {COUNTS[-1]} GPUs like this would do. Use a smaller --model."
    where = f"--n_gpus {gpus}" if gpus <= PER_NODE else f"{gpus // PER_NODE} machines of 8"
    return f"{gpus} GPUs like this would do ({where})."


def _ways_out(case: _Case) -> list[str]:
    """What the user may change that the launcher may not."""
    open_to_all = replace(case.config, given=frozenset(), recipe_keys=frozenset())
    said = []
    if free := _cheapest(replace(case, config=open_to_all)):
        said.append(f"It would fit with {_words(free)}.")
    elif lavish := _cheapest(replace(case, host_bytes=sys.maxsize)):
        host = _needs(lavish.found.host_peak, case.host_bytes)
        said.append(
            f"It would fit the GPU with {_words(lavish)}, but then the {host} of main memory."
        )
    adapter = with_adapter(case.use)
    if adapter and any(True for _ in _choices(replace(case, use=adapter))):
        said.append(f"--lora_rank {LORA_RANK}, which trains an adapter only, would fit here.")
    return said


def _words(choice: _Choice) -> str:
    return ", ".join(one.words for one in choice.positions if one.words) or "nothing else changed"
