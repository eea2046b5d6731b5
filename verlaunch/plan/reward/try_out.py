"""Is it a reward? Asked on real rows, and of real judges, before a run starts.

    tryout = try_rewards(rows, spec)
    tryout.means["math_reasoning"].reference  # 1.0: what the reference answers score

Rules and functions score a few rows; a judge, or a model on a server, scores one good and one bad
answer; another model is downloaded and looked at, and loads in the run itself. Left out on purpose:
whether the reward can be learned; only training tells.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from rewards.part import CannotStart, Row
from rewards.spec import JudgeSpec, ModelSpec, PartSpec, RewardSpec
from verlaunch.errors import UserError
from verlaunch.plan.reward.checks import flags_of, probe_model, sandbox
from verlaunch.plan.reward.rows import judge_notes
from verlaunch.plan.reward.try_rules import Means, by_rules, try_rules

START_RETRIES = 2

__all__ = ["Means", "Tryout", "ask_judge", "ask_server", "try_rewards"]


@dataclass(frozen=True)
class Tryout:
    """means: of rules and functions together, by data_source. keys: what such a part returns beside
    its score. notes: what deserves a look. told: parts whose notes are among them.
    spec: the reward with its models on this machine.
    """

    means: dict[str, Means]
    keys: dict[str, list[str]]
    notes: tuple[str, ...]
    told: list[str]
    spec: RewardSpec


async def ask_judge(part: PartSpec, deadline_s: float | None = None) -> list[str]:
    """Two live calls, of a good and a bad answer; notes about what came. The one place where a
    judge is asked before a run: at its start, in a dry run (with a deadline), by the doctor.

    A start opens the cache as well, to see that it can be written; a dry run writes nothing.
    Raises CannotStart, and asyncio.TimeoutError at the deadline.
    """
    from rewards.judge.judge import Judge

    assert isinstance(part.source, JudgeSpec)
    # A server that is not there now is a mistake to tell, not an outage to sit out.
    retries = min(part.source.retries, START_RETRIES)
    cache = part.source.cache if deadline_s is None else None
    judge = Judge(replace(part.source, retries=retries, cache=cache))
    try:
        known = judge_notes(part.source)  # the plan has told them
        told = await asyncio.wait_for(judge.start(), deadline_s)
        return [note for note in told if note not in known]
    finally:
        await judge.close()


def _fetch(part: PartSpec) -> PartSpec:
    """The model's and tokenizer's files on this machine, looked at once more."""
    from rewards.models.fetch import fetch

    model = part.source
    assert isinstance(model, ModelSpec)
    if model.url or model.path is None:
        return part
    code, (flag, own) = model.trust_remote_code, flags_of(part)
    path = str(fetch(model.path, flag, code=code))
    tokenizer = model.tokenizer and str(fetch(model.tokenizer, own, weights=False, code=code))
    part = replace(part, source=replace(model, path=path, tokenizer=tokenizer))
    probe_model(part)
    return part


def _is_served(part: PartSpec) -> bool:
    return isinstance(part.source, JudgeSpec) or bool(getattr(part.source, "url", None))


async def ask_server(part: PartSpec, deadline_s: float | None = None) -> list[str]:
    """The same of a reward model on a server (--rm_url)."""
    from rewards.models.part import ModelPart

    assert isinstance(part.source, ModelSpec)
    server = ModelPart(part.source)
    try:
        return await asyncio.wait_for(server.start(), deadline_s)
    finally:
        await server.close()


async def _try_all(rows: Sequence[Row], spec: RewardSpec) -> Tryout:
    means: dict[str, Means] = {}
    keys: dict[str, list[str]] = {}
    notes: list[str] = []
    programs = sandbox(spec, {row.data_source for row in rows}, ask_server=True)
    if rules := by_rules(spec):
        means, keys, notes = await try_rules(rules, rows)
    notes += [programs] if programs else []
    servers = [part for part in spec.parts if _is_served(part)]
    for part in servers:
        ask = ask_judge if isinstance(part.source, JudgeSpec) else ask_server
        try:
            notes += [f"{part.name}: {note}" for note in await ask(part)]
        except CannotStart as error:
            raise CannotStart(f"{part.name}: {error}") from None
    parts = tuple(_fetch(p) if isinstance(p.source, ModelSpec) else p for p in spec.parts)
    for part in parts:
        if part.name in keys and (part.scale != "none" or part.clip is not None):
            keys[part.name].append("raw")  # what a scaled part returns beside its own keys
    noted = tuple(dict.fromkeys(notes))
    return Tryout(means, keys, noted, [part.name for part in servers], replace(spec, parts=parts))


def try_rewards(rows: Iterable[Row], spec: RewardSpec) -> Tryout:
    """Raises UserError for a reward that cannot be what the user meant."""
    try:
        return asyncio.run(_try_all(list(rows), spec))
    except CannotStart as error:
        raise UserError(str(error)) from None
