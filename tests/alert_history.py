"""Metrics of runs as the alerts see them: recorded, or made up and spoilt on purpose.

recorded_demo()                                        # 60 steps of the CPU demo
run(80, {"actor/entropy": lambda step: 0.9 ** step})   # a healthy run, but for its entropy
"""

import csv
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from verlaunch.record.alerts.watch import Alert, Alerts

Line = dict[str, Any]
Spoilt = Mapping[str, float | Callable[[int], float]]
BATCH, PROMPT = 64, 100.0


def recorded_demo() -> list[Line]:
    with Path(__file__).with_name("recorded_demo.csv").open() as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    return [{**row, "step": int(row["step"])} for row in rows]


def run(steps: int, spoilt: Spoilt | None = None, seed: int = 0, batch: int = BATCH) -> list[Line]:
    """A rule's 0 or 1 for each response, 20 % right at first and 60 % at step 100."""
    chance = random.Random(seed)
    lines = []
    for step in range(1, steps + 1):
        line = _healthy(step, chance, batch)
        for key, value in (spoilt or {}).items():
            line[key] = value(step) if callable(value) else value
        line["perf/total_num_tokens"] = batch * (PROMPT + line["response_length/mean"])
        lines.append(line)
    return lines


def _healthy(step: int, chance: random.Random, batch: int) -> Line:
    right = [float(chance.random() < min(0.2 + 0.004 * step, 0.6)) for _ in range(batch)]
    share = sum(right) / batch
    return {
        "step": step,
        "time": 1_780_000_000.0 + step,
        "critic/score/mean": share,
        "critic/score/min": min(right),
        "critic/score/max": max(right),
        "critic/rewards/mean": share - 0.001,
        "actor/reward_kl_penalty": 0.0 if step == 1 else 0.01 + 0.002 * chance.random(),
        "actor/entropy": 0.5 + 0.1 * chance.random() - 0.001 * step,
        "actor/pg_loss": 0.01 * chance.gauss(0, 1),
        "actor/grad_norm": 1.0 + chance.random(),
        "critic/vf_loss": 0.05 + 0.1 / step + 0.01 * chance.random(),
        "critic/vf_explained_var": 0.1 + 0.1 * chance.gauss(0, 1),
        "critic/returns/min": 0.0,
        "critic/returns/max": 1.0,
        "response_length/mean": 200.0 + 10.0 * chance.random(),
        "response_length/max": 512.0,
        "prompt_length/mean": PROMPT,
        "response/truncated": 0.05 + 0.05 * chance.random(),
        "reward/answered/mean": 0.9,
        "reward/rule_failed/mean": 0.0,
        "reward/reward_failed/mean": 0.0,
    }


def told(lines: list[Line], **settings: Any) -> list[Alert]:
    """Every alert of a run, in order."""
    alerts = Alerts(**settings)
    return [alert for line in lines for alert in alerts.look(line["step"], line)]


def names(lines: list[Line], **settings: Any) -> list[str]:
    return [alert.name for alert in told(lines, **settings)]
