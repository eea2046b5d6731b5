"""Seconds per step, tokens per second, MFU and peak memory: ours and stock verl; and the plan's
memory against what was measured.

Medians over all steps but the first. Tokens are prompts and responses. Both contestants train the
same model on the same rows with the same settings, one after the other.
"""

import statistics
from dataclasses import asdict, dataclass
from typing import Any

from gpu_check import flops, stock, words
from gpu_check.check import Check, Failure, Found
from gpu_check.memory_seen import Sampler, cards_used, taken
from gpu_check.runs import Run, launched, planned_memory, under_guardian
from verlaunch.machine import hardware
from verlaunch.text import GIB

PARTS = ("gen", "old_log_prob", "ref", "values", "adv", "update_critic", "update_actor",
         "update_weights")  # fmt: skip
BAND = (0.75, 1.33)  # predicted / measured


@dataclass(frozen=True)
class Speed:
    """mfu: of the whole step, and of both updates alone; None where the card's peak is unknown."""

    step_s: float
    tokens_per_s: float
    mfu: float | None
    mfu_updates: float | None
    peak_gib: float
    tokens: float
    parts_s: dict[str, float]

    def said(self) -> str:
        shares = f"MFU {_percent(self.mfu)}, updates {_percent(self.mfu_updates)}"
        return (
            f"{self.step_s:.2f} s/step, {self.tokens_per_s:.0f} tokens/s, {shares}, "
            f"peak {self.peak_gib:.1f} GiB"
        )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def speed_of(check: Check, name: str, steps: list[dict[str, Any]], peak_bytes: int) -> Speed:
    """`steps`: lines of the record, the first of which is left out."""

    def median(key: str) -> float:
        return statistics.median(step[key] for step in steps[1:])

    shape = check.profile.shapes[name]
    step_s, tokens = median("timing_s/step"), median("perf/total_num_tokens")
    parts = {p: round(median(f"timing_s/{p}"), 3) for p in PARTS if f"timing_s/{p}" in steps[-1]}
    length = check.profile.prompt + check.profile.response
    there = hardware.look().gpus if check.profile.hardware == "gpu" else ()
    peak = flops.peak_of(there[0].name) if there else None
    updates_s = parts.get("update_critic", 0.0) + parts.get("update_actor", 0.0)
    return Speed(
        step_s=round(step_s, 3),
        tokens_per_s=round(tokens / step_s, 1),
        mfu=flops.mfu(flops.step_flops(shape, tokens, length), step_s, peak),
        mfu_updates=flops.mfu(flops.update_flops(shape, tokens, length), updates_s, peak),
        peak_gib=round(peak_bytes / GIB, 2),
        tokens=tokens,
        parts_s=parts,
    )


def idle(check: Check) -> dict[int, int]:
    """Bytes in use by card before the first run of the check."""
    return check.kept("idle cards", cards_used)


def _measured(check: Check, name: str, run: Run) -> Speed:
    before, pid = idle(check), run.process.pid
    with Sampler(lambda: taken(check.profile.hardware, pid, before)) as sampler:
        steps = run.steps(check.profile.steps)
    peak = max((size for _, size in sampler.samples), default=0)
    return speed_of(check, name, steps, peak)


def _ours(check: Check, name: str) -> Speed:
    with launched(check, name, words.timed(check, name)) as run:
        return _measured(check, name, run)


def ours(check: Check, name: str) -> Speed:
    return check.kept(f"ours, {name}", lambda: _ours(check, name))


def _exact(check: Check, speed: Speed) -> None:
    wanted = check.profile.prompts * (check.profile.prompt + check.profile.response)
    if speed.tokens != wanted:
        raise Failure(f"a step had {speed.tokens:.0f} tokens instead of {wanted}: {speed.said()}")


def step(check: Check, name: str) -> Found:
    found = ours(check, name)
    _exact(check, found)
    return Found(found.said(), asdict(found))


def against_stock(check: Check, name: str) -> Found:
    """The launcher's own configuration of that run, handed to verl's trainer."""
    mine, folder = ours(check, name), check.run_folder(f"{name}-stock")
    launch = check.run_folder(name) / "logs" / "launch.json"
    command, env = stock.prepare(launch, folder)
    with under_guardian(check, folder, command, env, folder / stock.METRICS) as run:
        theirs = _measured(check, name, run)
    _exact(check, theirs)
    ratio = round(mine.step_s / theirs.step_s, 3)
    return Found(
        f"{theirs.said()}; ours takes {ratio:.2f}x ({stock.workers(check.profile.hardware)})",
        {**asdict(theirs), "ours_to_stock": ratio},
    )


def predicted(check: Check, name: str) -> Found:
    """The plan's fullest phase against the peak that was seen."""
    phases = planned_memory(check, f"{name}-plan", words.timed(check, name))
    fullest = max(phases, key=lambda phase: phase["bytes"])
    expected, seen = fullest["bytes"] / GIB, ours(check, name).peak_gib
    ratio = expected / seen if seen else 0.0
    said = f"predicted {expected:.1f} GiB ({fullest['phase']}), measured {seen:.1f}: {ratio:.2f}x"
    if not BAND[0] <= ratio <= BAND[1]:
        raise Failure(f"{said}; expected {BAND[0]} to {BAND[1]}")
    figures = {"predicted_gib": round(expected, 2), "measured_gib": seen, "ratio": round(ratio, 3)}
    return Found(said, figures)
