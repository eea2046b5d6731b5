"""What the page says in words and single numbers, from a run's summary and files.

    verdicts(summary)[0]
    # {"name": "reward_mean", "title": "Reward", "verdict": "good", "sentence": ...}

Plain data in the order in which it is shown.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from verlaunch.machine.scrub import hide
from verlaunch.record.report import names
from verlaunch.record.report.history import History
from verlaunch.record.report.summary import clock
from verlaunch.text import duration

Summary = dict[str, Any]

FILES = {
    "metrics/summary.json": "start, best and last of every metric, with its verdict",
    "metrics/training_curves.png": "the curves as one picture",
    "metrics/training_metrics.csv": "a row per step, under short names and verl's",
    "metrics/alerts.jsonl": "alerts, a line each",
    "metrics.jsonl": "everything verl measures, a line per step",
    "samples/train.jsonl": "prompts, responses and scores of every step",
    "samples/rows.jsonl": "which rows of the data each step was trained on",
    "config.yaml": "the resolved configuration",
    "command.sh": "runs it again, from where it stands",
    "environment.json": "versions and machine",
    "run.json": "which model, data and reward this folder belongs to",
    "checkpoints/": "checkpoints by step, and the final model",
    "epochs/": "the model after each pass over the data",
    "exported/": "checkpoints as Hugging Face folders",
    "trackers/": "files of the trackers that --logger names",
    "judge_cache.sqlite": "what a judge has answered",
    "logs/": "events, and what every process printed",
    "nodes/": "what the processes of the other machines printed, a folder each",
}
WHAT = {"model": "Model", "data": "Data", "reward": "Reward", "recipe": "Recipe",
        "hardware": "Hardware"}  # fmt: skip
JUDGE = {"usd": "cost in US dollars", "fail_rate": "share of rows without a score",
         "latency_s": "median seconds of the latest requests"}  # fmt: skip
NOTES = {"running": "Load this page again for newer numbers."}
WORST_FIRST = ("bad", "look", "good", "")  # verdicts


def title(history: History) -> str:
    return history.folder.resolve().name


def head(history: History, summary: Summary) -> dict[str, Any]:
    what = summary["what"]
    facts = [[label, _words(what[key])] for key, label in WHAT.items() if what.get(key)]
    return {
        "title": title(history),
        "state": summary["state"],
        "reason": summary["reason"] or NOTES.get(summary["state"], ""),
        "facts": [*facts, *_span(history, summary)],
        "command": hide(what["command"]),
    }


def _words(value: Any) -> str:
    return hide(", ".join(map(str, value)) if isinstance(value, list) else str(value))


def _span(history: History, summary: Summary) -> Iterator[list[str]]:
    spent, steps = summary["time"], summary["steps"]
    of = f" of {steps['total']:,}" if steps["total"] else ""
    yield ["Steps", f"{steps['done']:,}{of}"]
    for label, moment in (("Started", spent["started"]), ("Ended", spent["ended"])):
        if moment:
            yield [label, moment]
    if summary["state"] == "running" and history.steps:
        yield ["Newest step", clock(history.steps[-1].get("time")) or ""]
    if spent["elapsed_s"]:
        yield ["Time in all", duration(spent["elapsed_s"])]


def _tile(name: str, value: Any, note: str, start: Any = None) -> dict[str, Any]:
    return {"name": name, "value": value, "note": note, "from": start}


def _scored(name: str, found: Summary | None) -> list[dict[str, Any]]:
    if not found or found.get("last") is None:
        return []
    note = f"best {found['best']:.4g} at step {found['best_step']}"
    return [_tile(name, found["last"], note, found["start"])]


def glance(summary: Summary) -> list[dict[str, Any]]:
    """The numbers one asks for first; `from` is where they started."""
    kl, step_s = summary["kl"] or {}, summary["time"]["step_s_median"]
    tiles = _scored("Reward", summary["reward"]) + _scored("Validation", summary["validation"])
    if kl.get("last") is not None:
        tiles.append(_tile("KL divergence", kl["last"], f"at most {kl['max']:.3g}"))
    if step_s is not None:
        tiles.append(_tile("Seconds a step", step_s, "median, without validation"))
    return tiles


def verdicts(summary: Summary) -> list[dict[str, Any]]:
    """The worst first, those without a verdict last; the order is the table's otherwise."""
    rows = [_verdict(name, found) for name, found in summary["metrics"].items()]
    return sorted(rows, key=lambda row: WORST_FIRST.index(row["verdict"]))


def _verdict(name: str, found: dict[str, Any]) -> dict[str, Any]:
    known = names.by_name.get(name)
    numbers = {key: found.get(key) for key in ("first", "last", "min", "max", "healthy")}
    return {
        "name": name,
        "title": known.title if known else name.removeprefix(names.PART),
        "verdict": found.get("verdict") or "",
        "sentence": found.get("sentence") or "",
        **numbers,
    }


def alerts(history: History) -> list[dict[str, str]]:
    """One entry for each sentence, with the steps that it was said at."""
    said: dict[tuple[str, str], list[int]] = {}
    for line in history.alerts:
        key = (str(line.get("name", "")), str(line.get("sentence", "")))
        said.setdefault(key, []).append(line.get("step", 0))
    return [
        {"name": name, "sentence": sentence, "steps": _steps(steps)}
        for (name, sentence), steps in said.items()
    ]


def _steps(steps: list[int]) -> str:
    if len(steps) == 1:
        return f"step {steps[0]:,}"
    return f"{len(steps):,} times, step {min(steps):,} to {max(steps):,}"


def judge(summary: Summary) -> list[list[Any]]:
    found = summary["judge"] or {}
    return [[JUDGE.get(key, key.replace("_", " ")), value] for key, value in found.items()]


def phases(summary: Summary) -> list[list[Any]]:
    """With their shares, the longest first."""
    return [[name.replace("_", " "), share] for name, share in summary["time"]["phases"].items()]


def versions(history: History) -> list[list[str]]:
    environment = dict(history.environment)
    found = environment.pop("versions", None) or {}
    machines = environment.pop("nodes", None) or []
    packages = [[name, str(version)] for name, version in found.items()]
    own = [[name.replace("_", " "), _words(value)] for name, value in environment.items() if value]
    return [*packages, *own, *([f"node {one['rank']}", _machine(one)] for one in machines)]


def _machine(node: dict[str, Any]) -> str:
    """One of several: `b, 10.0.0.2 on eth0; 8 x NVIDIA H200, 96 cores, 1007.0 GiB; nodes/1/logs`"""
    on = f" on {node['interface']}" if node["interface"] else ""
    kinds = Counter(node["gpus"]).items()
    has = [*(f"{count} x {name}" for name, count in kinds), f"{node['cores']} cores",
           f"{node['memory_gib']} GiB"]  # fmt: skip
    return f"{node['host']}, {node['address']}{on}; {', '.join(has)}; {node['log']}"


def files(history: History) -> list[list[str]]:
    """Those that are there, with what they hold and of which steps."""
    span = _trained(history)
    return [
        [name, f"{what}{span if name.endswith('.jsonl') and 'step' in what else ''}"]
        for name, what in FILES.items()
        if (history.folder / name).exists()
    ]


def _trained(history: History) -> str:
    if not history.steps:
        return ""
    return f" ({history.steps[0]['step']:,} to {history.steps[-1]['step']:,})"
