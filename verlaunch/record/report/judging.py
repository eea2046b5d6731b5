"""What a run asked of its judge: calls, failures, tokens and, where the price is known, dollars.

    judged(history.folder, series)   # {"calls": 1800, "fail_rate": 0.01, "usd": 0.42, ...}

A judge counts from each start of the run; the counts of all attempts are added up.
"""

import json
from pathlib import Path
from typing import Any

from verlaunch.record.report.named_steps import Series

COUNTERS = {
    "calls": "judge_calls",
    "failed_requests": "judge_failed_requests",
    "input_tokens": "judge_input_tokens",
    "output_tokens": "judge_output_tokens",
}
LATEST = {"fail_rate": "judge_fail_rate", "latency_s": "judge_latency_s"}


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


def judged(folder: Path, series: Series) -> dict[str, Any] | None:
    if not series.values("judge_calls"):
        return None
    totals = {key: _total(series.values(name)) for key, name in COUNTERS.items()}
    latest = {key: next(iter(series.values(name)[-1:]), None) for key, name in LATEST.items()}
    usd = _usd(folder, (totals["input_tokens"], totals["output_tokens"]))
    return {**totals, **latest, "usd": usd}
