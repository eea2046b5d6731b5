"""A dry run for programs: one JSON document, whatever happens.

    ./train.sh --data my.json --model FOLDER --dry_run json | jq .ok

Its names are a contract, on docs/plan.md; `version` grows when one of them changes.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rewards.spec import JudgeSpec, ModelSpec, RewardSpec, RuleSpec
from verlaunch.config.compose import differences
from verlaunch.config.tree import get, ranks
from verlaunch.plan import nodes
from verlaunch.plan.memory import rows as memory_rows
from verlaunch.plan.memory.expected import NOTHING
from verlaunch.plan.outlook import Outlook
from verlaunch.plan.page import to_start
from verlaunch.plan.reward.rows import Work, dollars, weighted
from verlaunch.plan.roles import facts, roles
from verlaunch.text import GIB

VERSION = 1
KINDS = {RuleSpec: "rule", ModelSpec: "model", JudgeSpec: "judge"}
EMPTY: dict[str, Any] = {
    **{"model": None, "hardware": None, "roles": [], "nodes": [], "batch": None},
    **{"data": None, "steps": None, "reward": None, "memory": None, "fit": None},
    **{"resume": None, "output": None, "differences": {}},
}


def failed(problems: Sequence[str], typed: Sequence[str]) -> str:
    """For what stops before there is an outlook: a flag that does not exist."""
    return _text({"problems": list(problems), "command": list(to_start(typed))})


def document(outlook: Outlook) -> str:
    return _text(
        {
            "problems": list(outlook.problems),
            "warnings": list(outlook.warnings),
            "notes": list(outlook.config.notes),
            "command": list(to_start(outlook.asked.words)),
            "output": str(outlook.asked.folder),
            "model": _model(outlook),
            "hardware": _hardware(outlook),
            "data": _data(outlook),
            **(_planned(outlook) if outlook.plan else {}),
        }
    )


def _text(found: dict[str, Any]) -> str:
    head = {"version": VERSION, "ok": not found["problems"], "problems": [], "warnings": [],
            "notes": [], "command": []}  # fmt: skip
    return json.dumps({**head, **EMPTY, **found}, indent=1, ensure_ascii=False)


def _model(outlook: Outlook) -> dict[str, Any] | None:
    if (model := outlook.model) is None:
        return None
    found = outlook.memory.estimate if outlook.memory else None
    return {
        "name": model.name,
        "parameters": found.shape.parameters if found and found.shape else None,
        "architecture": model.architecture,
        "vocabulary": model.vocab_size,
        "positions": model.max_positions,
    }


def _hardware(outlook: Outlook) -> dict[str, Any]:
    machine, verl = outlook.asked.machine, outlook.config.verl
    cards = [{"name": gpu.name, "memory": int(gpu.memory_gib * GIB)} for gpu in machine.gpus]
    return {
        "profile": outlook.config.hardware,
        "cores": machine.cores,
        "memory": int(machine.memory_gib * GIB),
        "gpus": cards,
        "assumed": outlook.asked.assumed is not None,
        "nodes": get(verl, "trainer.nnodes"),
        "ranks": ranks(verl) if outlook.plan else None,
        "processes": outlook.plan.processes if outlook.plan else None,
    }


def _data(outlook: Outlook) -> dict[str, Any] | None:
    if (look := outlook.look) is None:
        return None
    return {
        "prompts": outlook.facts.train_rows if outlook.facts else None,
        "rows": look.rows,
        "exact": look.exact,
        "data_sources": look.data_sources,
        "dropped": look.dropped,
        "notes": list(look.notes),
        "prompt": outlook.prompt,
    }


def _planned(outlook: Outlook) -> dict[str, Any]:
    """Of an outlook with a plan."""
    assert outlook.plan and outlook.spec
    batch, verl = outlook.plan.batch, outlook.config.verl
    sizes = {**asdict(batch), "micro": dict(batch.micro), "sequences": batch.sequences}
    work = Work.of(verl, outlook.data_sources)
    return {
        "roles": [facts(role) for role in roles(outlook.config, outlook.spec)],
        "nodes": [
            asdict(node) for node in nodes.nodes(outlook.config, outlook.spec, outlook.addresses)
        ],
        "batch": {**sizes, "updates": batch.updates},
        "steps": asdict(outlook.plan.steps),
        "reward": {**_reward(outlook.spec, work), **_tried(outlook)},
        "memory": memory_rows.facts(outlook.memory) if outlook.memory else None,
        "fit": _fit(outlook),
        "resume": _resume(outlook),
        "differences": {key: list(pair) for key, pair in differences(outlook.config).items()},
    }


def _reward(spec: RewardSpec, work: Work) -> dict[str, Any]:
    judges = [
        {
            "name": part.name,
            "provider": part.source.provider,
            "model": part.source.model,
            "calls": work.responses * part.source.samples,
            "dollars": dollars(part.source, work),
        }
        for part in spec.parts
        if isinstance(part.source, JudgeSpec)
    ]
    parts = [{"name": part.name, "kind": KINDS[type(part.source)]} for part in spec.parts]
    return {"formula": weighted(spec.weights, spec.gates), "parts": parts, "judges": judges}


def _tried(outlook: Outlook) -> dict[str, Any]:
    found = outlook.trial
    if found is None:
        return {"sources": {}, "asked": [], "later": []}
    sources = {
        name: {**means, "answer": found.references[name]} for name, means in found.means.items()
    }
    return {"sources": sources, "asked": list(found.asked), "later": list(found.later)}


def _fit(outlook: Outlook) -> dict[str, Any]:
    found = outlook.memory.fit if outlook.memory else NOTHING
    mode = outlook.config.launch["fit"]
    return {"mode": mode, "values": dict(found.values), "said": list(found.said)}


def _resume(outlook: Outlook) -> dict[str, Any] | None:
    found, notes = outlook.resume.checkpoint, list(outlook.resume.notes)
    if found is None:
        return {"step": None, "path": None, "notes": notes} if notes else None
    return {"step": found.step, "path": str(found.path), "notes": notes}
