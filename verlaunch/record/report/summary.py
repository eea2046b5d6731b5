"""metrics/summary.json: the first thing to read of a run.

    summarize(read(Path("outputs")))["reward"]
    # {"start": 0.43, "best": 0.98, "best_step": 41, "last": 0.95}

`start`, `first` and `last` are means over the first and last five steps (fewer in a short run), so
that one noisy step says nothing; `best`, `min` and `max` are of single steps. A validation score is
one number as it is. Every number is finite or null.
"""

import json
import statistics
import time
from collections import Counter
from pathlib import Path
from typing import Any

from verlaunch.record.report import verdicts
from verlaunch.record.report.history import History
from verlaunch.record.report.named_steps import Points, Series
from verlaunch.record.report.names import METRICS, PART, Metric, of_run, without_nan
from verlaunch.record.report.state import elapsed_s, outcome, total_steps

Plain = dict[str, Any]

STEP, VALIDATION = "step_time_s", "time_validation_s"
PHASES = {
    metric.name: metric.name.removeprefix("time_").removesuffix("_s")
    for metric in METRICS
    if metric.name.startswith("time_")
}


COUNTERS = {
    "calls": "judge_calls",
    "failed_requests": "judge_failed_requests",
    "input_tokens": "judge_input_tokens",
    "output_tokens": "judge_output_tokens",
}
LATEST = {"fail_rate": "judge_fail_rate", "latency_s": "judge_latency_s"}


def clock(seconds: float | None) -> str | None:
    local = None if seconds is None else time.localtime(seconds)
    return time.strftime("%Y-%m-%d %H:%M:%S%z", local) if local else None


def _hardware(environment: Plain) -> str | None:
    gpus: Counter[str] = Counter(environment.get("gpus", ()))
    if gpus:
        return ", ".join(f"{count} x {name}" for name, count in gpus.items())
    if "cores" not in environment:
        return None
    return f"CPU, {environment['cores']} cores, {environment['memory_gib']:g} GiB"


def recipe(history: History) -> str | None:
    """Recorded by name, else as it was typed."""
    words = history.command.replace("=", " ").split()
    typed = [words[i + 1] for i, word in enumerate(words[:-1]) if word in ("--recipe", "RECIPE")]
    return history.environment.get("recipe") or next(iter(typed), None)


def _what(history: History) -> Plain:
    return {
        "model": history.identity.get("model"),
        "data": history.identity.get("data"),
        "reward": history.identity.get("reward"),
        "recipe": recipe(history),
        "hardware": _hardware(history.environment),
        "command": history.command,
    }


def _phases(series: Series) -> dict[str, float]:
    """Shares of the time that steps and validations took, the largest first."""
    spent = {phase: sum(series.values(name)) for name, phase in PHASES.items()}
    whole = sum(series.values(STEP)) + sum(series.values(VALIDATION))
    spent["other"] = max(0.0, whole - sum(spent.values()))
    whole = sum(spent.values())
    shares = {phase: round(s / whole, 4) for phase, s in spent.items() if s} if whole else {}
    return dict(sorted(shares.items(), key=lambda pair: -pair[1]))


def _time(history: History, series: Series, state: str) -> Plain:
    times = [event["time"] for event in history.events] or series.times or [None]
    step_s = series.values(STEP)
    return {
        "started": clock(times[0]),
        "ended": None if state == "running" else clock(times[-1]),
        "elapsed_s": round(elapsed_s(history.events), 1),
        "step_s_median": statistics.median(step_s) if step_s else None,
        "phases": _phases(series),
    }


def _best(points: Points) -> Plain:
    """The earliest of equals."""
    step, best = max(points, key=lambda point: point[1])
    return {"best": best, "best_step": step}


def _reward(series: Series) -> Plain | None:
    if not (points := series.points("reward_mean")):
        return None
    values = series.values("reward_mean")
    return {"start": verdicts.start(values), **_best(points), "last": verdicts.end(values)}


def _validation(points: Points) -> Plain | None:
    if not points:
        return None
    return {"start": points[0][1], **_best(points), "last": points[-1][1]}


def _kl(series: Series) -> Plain | None:
    values = series.values("kl_divergence")
    return {"last": verdicts.end(values), "max": max(values)} if values else None


def _total(counts: list[float]) -> int:
    """Of a counter that starts over at 0 whenever the run does."""
    before = [0.0, *counts[:-1]]
    return int(
        sum(now - was if now >= was else now for was, now in zip(before, counts, strict=True))
    )


def _usd(folder: Path, tokens: tuple[int, int]) -> float | None:
    """None without a listed price, or with several judges: their tokens are counted together."""
    from rewards.judge.costs import Tokens, find_price

    try:
        parts = json.loads((folder / "logs" / "launch.json").read_text())["reward"]["parts"]
    except (OSError, ValueError, KeyError):
        return None
    judges = [part["source"] for part in parts if part.get("kind") == "judge"]
    if len(judges) != 1 or judges[0].get("base_url"):
        return None
    price = find_price(judges[0]["provider"], judges[0]["model"])
    return round(price.usd(Tokens(*tokens)), 4) if price else None


def _judged(folder: Path, series: Series) -> Plain | None:
    """What a run asked of its judge. It counts from each start: the counts of all are added up."""
    if not series.values("judge_calls"):
        return None
    totals = {key: _total(series.values(name)) for key, name in COUNTERS.items()}
    latest = {key: next(iter(series.values(name)[-1:]), None) for key, name in LATEST.items()}
    usd = _usd(folder, (totals["input_tokens"], totals["output_tokens"]))
    return {**totals, **latest, "usd": usd}


def _metric(metric: Metric | None, values: list[float]) -> Plain:
    found = verdicts.verdict(metric, values) if metric else None
    is_score = metric is not None and metric.name == "validation_score"
    return {
        "first": values[0] if is_score else verdicts.start(values),
        "last": values[-1] if is_score else verdicts.end(values),
        "min": min(values),
        "max": max(values),
        "healthy": list(metric.healthy) if metric and metric.healthy else None,
        "verdict": found.word if found else None,
        "sentence": found.sentence if found else None,
    }


def _metrics(series: Series, table: dict[str, Metric]) -> dict[str, Plain]:
    """In the order of the table, then the reward's parts."""
    columns = {name: series.values(name) for name in series.names}
    columns["validation_score"] = [score for _, score in series.validations]
    known = [*table, *(name for name in columns if name.startswith(PART))]
    return {name: _metric(table.get(name), columns[name]) for name in known if columns.get(name)}


def summarize(history: History) -> Plain:
    series = history.series
    done = series.steps[-1] if series else 0
    found = outcome(history, done)
    return without_nan({
        "what": _what(history),
        "state": found.state,
        "reason": found.reason,
        "steps": {"done": done, "total": total_steps(history)},
        "time": _time(history, series, found.state),
        "reward": _reward(series),
        "validation": _validation(series.validations),
        "kl": _kl(series),
        "metrics": _metrics(series, of_run(history.config, series.values("response_length"))),
        "warnings": [{key: alert.get(key) for key in ("step", "name", "sentence")}
                     for alert in history.alerts],
        "judge": _judged(history.folder, series),
        "versions": {"python": history.environment.get("python"),
                     **history.environment.get("versions", {})},
    })  # fmt: skip
