"""A run's folder as a run leaves it, for tests of what is made of it: no training, seconds saved.

    write_run(tmp_path, steps=40)            # finished; resumed once on its way
    write_run(tmp_path, steps=8, ends="killed", judge=True)

The names and their order are those of a recorded CPU demo; the numbers follow from `seed`. What
real folders hold is there too: a null, a step with two lines, half a line, a new key half way.
"""

import functools
import json
import math
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from verlaunch.config.compose import compose, to_yaml
from verlaunch.config.flags import parse
from verlaunch.record.channel import ALERTS, METRICS, SAMPLES

BEGAN = 1_780_000_000.0  # seconds since 1970
TOTAL = 4_040  # steps of the configuration that is composed
START_S, STEP_S, VALIDATION_S = 52.0, 1.25, 0.4
COMMAND = "./train.sh --model Qwen/Qwen2.5-0.5B --data data/sample_math.json"
IDENTITY = {
    "model": "Qwen/Qwen2.5-0.5B",
    "critic": True,
    "lora_rank": 0,
    "data": "sample_math.json [3a99fd95]",
    "reward": "rules",
    "reward scale": "none",
}
ENVIRONMENT = {
    "time": "2026-05-28 20:26:40+0000",
    "python": "3.11.7",
    "hardware": "cpu",
    "cores": 2,
    "memory_gib": 23.5,
    "gpus": [],
    "versions": {"verlaunch": "0.1.0", "verl": "0.9.1", "ray": "2.60.0", "torch": "2.13.0+cpu"},
}
ALERT = {"step": 12, "name": "kl", "value": 0.16,
         "sentence": "KL 0.16 is above 0.1: raise --kl_coef or lower --lr."}  # fmt: skip
PHASES = {"gen": 0.4, "old_log_prob": 0.08, "ref": 0.06, "values": 0.05, "adv": 0.01,
          "update_critic": 0.2, "update_actor": 0.18, "update_weights": 0.02}  # fmt: skip
REASON = "judge_score: the judge failed on 40% of the last 100 responses."
ENDS: dict[str, tuple[dict[str, Any], ...]] = {
    "finished": ({"event": "finished"},),
    "stopped": ({"event": "saved"}, {"event": "finished"}),  # before its last step
    "failed": ({"event": "failed", "reason": REASON}, {"event": "finished"}),
    "killed": (),
}


@functools.cache
def _composed() -> str:
    config = compose(parse([*COMMAND.split()[1:], "--steps", str(TOTAL)], {}), "cpu")
    return to_yaml(config)


def _config(steps: int) -> str:
    """A real configuration."""
    return _composed().replace(f"total_training_steps: {TOTAL}", f"total_training_steps: {steps}")


def _spread(name: str, mean: float, width: float) -> dict[str, float]:
    return {f"{name}/mean": mean, f"{name}/max": mean + width, f"{name}/min": mean - width}


def _step(step: int, steps: int, noise: random.Random, judge: bool) -> dict[str, Any]:
    """verl's names; the reward rises as a logistic curve, the KL with it, the entropy falls."""
    done = step / steps
    learnt = 1 / (1 + math.exp(-8 * (done - 0.45)))
    score = min(1.0, max(0.0, 0.42 + 0.5 * learnt + noise.gauss(0, 0.03)))
    length = 180 - 60 * learnt + noise.gauss(0, 5)
    step_s = STEP_S * (1 + abs(noise.gauss(0, 0.05)))
    line = {
        "actor/entropy": 2.4 - 1.3 * learnt + noise.gauss(0, 0.03),
        "actor/reward_kl_penalty": 0.0 if step == 1 else 0.002 + 0.07 * learnt,
        "actor/reward_kl_penalty_coeff": 0.001,
        "critic/vf_loss": 0.17 * math.exp(-4 * done) + 0.02 + abs(noise.gauss(0, 0.004)),
        "critic/vf_clipfrac": 0.05,
        "critic/grad_norm": 1.7 * math.exp(-done) + abs(noise.gauss(0, 0.1)),
        "critic/lr": 1e-5 * (1 - done),
        "actor/pg_clipfrac": 0.12 + 0.06 * learnt + noise.gauss(0, 0.02),
        "actor/ppo_kl": 0.01 + noise.gauss(0, 0.004),
        "actor/pg_loss": -0.01 + noise.gauss(0, 0.012),
        "actor/grad_norm": 2.0 + noise.gauss(0, 0.3),
        "actor/lr": 1e-6 * (1 - done),
        "training/global_step": step,
        "training/epoch": 2 * (step - 1) // steps,
        **_spread("critic/score", score, min(0.4, score)),
        **_spread("critic/rewards", score - 0.001, min(0.4, score)),
        **_spread("critic/advantages", noise.gauss(0, 1e-8), 2 + noise.random()),
        **_spread("critic/returns", score, 0.5),
        **_spread("critic/values", score * min(1.0, 3 * done), 0.4),
        "critic/vf_explained_var": -0.15 + 0.8 * min(1.0, 2 * done),
        **_spread("response_length", length, 60.0),
        **_spread("prompt_length", 46.0, 12.0),
        **{f"timing_s/{name}": share * step_s for name, share in PHASES.items()},
        "timing_s/step": step_s,
        "perf/total_num_tokens": int(50 * length),
        "perf/throughput": 50 * length / step_s,
        "reward/rule_score/mean": score,
        "reward/rule_failed/mean": 0.0,
        "reward/answered/mean": min(1.0, 0.8 + 0.2 * learnt),
        "reward/reward_failed/mean": 0.0,
        "reward/score/mean": score,
        "response/truncated": max(0.0, 0.3 - 0.35 * learnt),
    }
    return {**line, **(_judge(step, score) if judge else {})}


def _judge(step: int, score: float) -> dict[str, float]:
    """Counts of the run so far, as a judge tells them."""
    asked = 50.0 * step
    return {
        "reward/judge_score/mean": 0.8 * score,
        "judge/calls": 0.9 * asked,
        "judge/requests": 0.92 * asked,
        "judge/retries": 0.02 * asked,
        "judge/failed_requests": 0.03 * asked,
        "judge/input_tokens": 310 * asked,
        "judge/output_tokens": 40 * asked,
        "judge/latency_p50_s": 0.8,
        "judge/latency_p95_s": 2.1,
        "judge/cache_hits": 0.1 * asked,
        "judge/fail_rate": 0.01,
    }


def _validation(score: float) -> dict[str, float]:
    return {"val-core/math_reasoning/reward/mean@1": score,
            "val-aux/math_reasoning/answered/mean@1": 0.97}  # fmt: skip


def metrics(steps: int, seed: int = 1, judge: bool = False) -> Iterator[dict[str, Any]]:
    """Lines of metrics.jsonl, the validation before the first step included."""
    noise = random.Random(seed)
    yield {"step": 0, "time": BEGAN + START_S, **_validation(0.42)}
    for step in range(1, steps + 1):
        line = _step(step, steps, noise, judge)
        if step % 10 == 0 or step == steps:
            line |= _validation(min(1.0, line["critic/score/mean"] + 0.02))
            line |= {"timing_s/testing": VALIDATION_S, "timing_s/save_checkpoint": 0.3}
        if step == 5:
            line["actor/grad_norm"] = None  # it was not finite
        yield {"step": step, "time": round(BEGAN + START_S + step * STEP_S, 3), **line}


def _doubled(lines: Iterable[dict[str, Any]], step: int) -> Iterator[dict[str, Any]]:
    """One step was trained again: its first line is not the one that counts."""
    for line in lines:
        if line["step"] == step:
            yield {**line, "critic/score/mean": -99.0}
        yield line


def _samples(steps: int, seed: int) -> Iterator[dict[str, Any]]:
    noise = random.Random(seed)
    for step in range(1, steps + 1):
        for _ in range(4):
            left, right = noise.randint(0, 9), noise.randint(0, 9)
            right_answer = noise.random() < 0.4 + 0.5 * step / steps
            said = left + right if right_answer else left + right + 1
            score = float(right_answer)
            yield {"rule_score": score, "rule_failed": 0.0, "answered": 1.0, "reward_failed": 0.0,
                   "score": score, "step": step, "data_source": "math_reasoning",
                   "prompt": f"What is {left}+{right}?", "response": f"It is \\boxed{{{said}}}.",
                   "ground_truth": str(left + right)}  # fmt: skip


def _attempt(began: float, first: int, last: int, steps: int) -> Iterator[dict[str, Any]]:
    def phase(time: float, name: str, **more: int) -> dict[str, Any]:
        return {"time": time, "event": "phase", "phase": name, **more}

    yield phase(began, "starting ray")
    yield phase(began + 15, "loading models")
    yield phase(began + START_S, "ready", total_steps=steps, step=first - 1)
    for step in range(first, last + 1):
        time = BEGAN + START_S + step * STEP_S
        yield phase(time - STEP_S, "rollout", step=step)
        yield phase(time - STEP_S / 2, "update", step=step)
        yield {"time": time, "event": "metrics", "step": step}


def _events(steps: int, total: int, ends: str) -> Iterator[dict[str, Any]]:
    """Two attempts: the first was killed in the middle."""
    half = max(1, steps // 2)
    yield from _attempt(BEGAN, 1, half, total)
    if half < steps:
        yield from _attempt(BEGAN + START_S + half * STEP_S, half + 1, steps, total)
    time = BEGAN + START_S + steps * STEP_S + 2
    yield from ({"time": time, "step": steps, **event} for event in ENDS[ends])


def _write(file: Path, lines: Iterable[dict[str, Any]], end: str = "") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    file.write_text(text + end, encoding="utf-8")


def write_run(
    folder: Path,
    steps: int = 40,
    ends: str = "finished",  # finished, stopped, failed, killed
    judge: bool = False,
    seed: int = 1,
) -> Path:
    """Returns the folder. steps may be 0: the run ended before its first step was done."""
    total = 2 * steps if ends == "stopped" else steps
    lines = metrics(steps, seed, judge) if steps else ()
    _write(folder / METRICS, _doubled(lines, max(1, steps // 2)), end='{"step": ')
    _write(folder / SAMPLES, _samples(steps, seed))
    _write(folder / ALERTS, [ALERT] if steps >= ALERT["step"] else [])
    _write(folder / "logs" / "events.jsonl", _events(steps, total, ends))
    (folder / "run.json").write_text(json.dumps(IDENTITY, indent=1))
    (folder / "environment.json").write_text(json.dumps(ENVIRONMENT, indent=1))
    (folder / "config.yaml").write_text(_config(total))
    (folder / "command.sh").write_text(
        f"#!/bin/sh\n# Runs this again.\ncd . || exit 1\n{COMMAND}\n"
    )
    return folder
