"""Is it a reward? Asked on real rows, and of real judges, before a run starts.

    found = try_reward(spec, rows)
    found.means["math_reasoning"]["reference"]  # 1.0: what the reference answers score

Rules and functions score a few rows; a judge, or a model on a server, scores one good and one bad
answer; another model is downloaded and looked at, and loads in the run itself. A dry run does what
costs seconds and fractions of a cent: it has a deadline, fetches nothing and writes nothing. Left
out on purpose: whether the reward can be learned; only training tells.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from rewards.part import CannotStart, Row
from rewards.spec import ModelSpec, PartSpec, RewardSpec, RuleSpec
from verlaunch.errors import Finding, stopping
from verlaunch.plan.reward.checks import flags_of, probe_model, runs_programs, sandbox
from verlaunch.plan.reward.trial.rules import Trial, by_rules, try_rules
from verlaunch.plan.reward.trial.served import ask, is_served

DEADLINE_S = 8.0  # with the two seconds of the plan itself, a dead endpoint is told within ten


def _fetch(part: PartSpec) -> PartSpec:
    """The model's and tokenizer's files on this machine, looked at once more."""
    from rewards.models.fetch import fetch

    model = part.source
    if not isinstance(model, ModelSpec) or model.url or model.path is None:
        return part
    code, (flag, own) = model.trust_remote_code, flags_of(part)
    path = str(fetch(model.path, flag, code=code))
    tokenizer = model.tokenizer and str(fetch(model.tokenizer, own, weights=False, code=code))
    part = replace(part, source=replace(model, path=path, tokenizer=tokenizer))
    probe_model(part)
    return part


def _runs_away(spec: RewardSpec, name: str) -> bool:
    """Whether a server of the user's runs the programs of these rows."""
    rules = [part.source for part in spec.parts if isinstance(part.source, RuleSpec)]
    return any(rule.sandbox_url and runs_programs(rule, name) for rule in rules)


def _later(spec: RewardSpec, rows: Sequence[Row], away: Sequence[str]) -> Iterator[str]:
    """What a dry run leaves to the start."""
    yield from (f"{name}: its programs run on --sandbox_url when the run starts" for name in away)
    for part in spec.parts:
        if isinstance(part.source, ModelSpec) and not part.source.url:
            yield f"{part.name}: the model is loaded and tried when the run starts"
    if by_rules(spec) and not rows:
        yield "the rules are tried on rows of the data when the run starts"


def _with_raw(spec: RewardSpec, keys: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """What a scaled part returns beside its own keys."""
    scaled = {part.name for part in spec.parts if part.scale != "none" or part.clip is not None}
    return {name: [*own, *["raw"] * (name in scaled)] for name, own in keys.items()}


async def _try(spec: RewardSpec, rows: Sequence[Row], deadline_s: float | None) -> Trial:
    is_dry = deadline_s is not None
    labels = dict.fromkeys(row.data_source for row in rows)
    programs = None if is_dry else sandbox(spec, labels, ask_server=True)
    away = [name for name in labels if is_dry and _runs_away(spec, name)]
    ruled = await try_rules(spec, [row for row in rows if row.data_source not in away])
    served = [part for part in spec.parts if is_served(part)]
    asked = await asyncio.gather(*[ask(part, deadline_s) for part in served])
    findings = [*ruled.findings, *([Finding(programs, stops=False)] if programs else [])]
    findings += (finding for one in asked for finding in one.findings)
    if not is_dry and not stopping(findings):
        spec = replace(spec, parts=tuple(map(_fetch, spec.parts)))
    return replace(
        ruled,
        spec=spec,
        keys=_with_raw(spec, ruled.keys),
        findings=tuple(findings),
        asked=tuple(one.name for one in asked if one.answered),
        later=tuple(_later(spec, rows, away)) if is_dry else (),
    )


def try_reward(spec: RewardSpec, rows: Sequence[Row], deadline_s: float | None = None) -> Trial:
    """Never raises for what is wrong with the reward: that is among the findings.

    deadline_s: for a server's answers, in a dry run.
    """
    try:
        return asyncio.run(_try(spec, rows, deadline_s))
    except CannotStart as error:
        return Trial(spec, findings=(Finding(str(error)),))
