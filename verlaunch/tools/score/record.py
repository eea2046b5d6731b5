"""All numbers as JSON, and every scored answer as a line of JSONL.

write_numbers(path, as_json(sources, reward)); write_answers(path, spec, scored)
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rewards.reward import Reward
from rewards.spec import RewardSpec
from verlaunch.plan.reward.trial.measure import Scored
from verlaunch.plan.reward.trial.on_attack import paid
from verlaunch.plan.reward.trial.summary import Source, columns
from verlaunch.tools.score.verdict import verdict


def _line(one: Scored, spec: RewardSpec) -> dict[str, Any]:
    row = one.answer.row
    return {
        "kind": one.answer.kind,
        "data_source": row.data_source,
        "prompt": list(row.messages),
        "response": row.response,
        "ground_truth": row.ground_truth,
        "score": None if one.result.failed else one.score,
        **columns(spec, one),
        "reason": one.result.reason,
        "latency_s": round(one.latency_s, 6),
    }


def _source(source: Source, spec: RewardSpec) -> dict[str, Any]:
    findings = [
        {
            "level": found.level,
            "text": found.text,
            "examples": [_line(one, spec) for one in found.examples],
        }
        for found in verdict(source)
    ]
    return {
        "questions": source.questions,
        "answers": source.calls,
        "failed": len(source.failed),
        "scores": {kind: asdict(found) for kind, found in source.scores.items()},
        "parts": {part.name: {"weight": part.weight, "means": part.means} for part in source.parts},
        "attack": [
            {
                "kind": one.kind,
                "rows": one.tried,
                "paid": [_line(answer, spec) for found in one.rows.values() for answer in found],
            }
            for one in (paid(source) if source.cheap else ())
        ],
        "latency_p50_s": source.latency_p50_s,
        "latency_p95_s": source.latency_p95_s,
        "verdict": findings,
    }


def as_json(sources: Sequence[Source], reward: Reward) -> dict[str, Any]:
    return {
        "sources": {source.name: _source(source, reward.spec) for source in sources},
        "weights": reward.spec.weights,
        "by_source": reward.spec.by_source,
        "counters": reward.counters,
        "reasons": reward.reasons,
        "stop_reason": reward.stop_reason(),
        "curves": reward.curves(),
    }


def write_numbers(path: Path, found: dict[str, Any]) -> None:
    text = json.dumps(found, indent=1, ensure_ascii=False, default=str)
    path.write_text(text + "\n", encoding="utf-8")


def write_answers(path: Path, spec: RewardSpec, scored: Sequence[Scored]) -> None:
    texts = (json.dumps(_line(one, spec), ensure_ascii=False, default=str) for one in scored)
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
