"""Rules and functions on a few real rows: with the reference answer, an empty and a junk response.

means, keys, notes = await try_rules(by_rules(spec), rows)
means["math_reasoning"]   # Means(reference=1.0, empty=0.0, junk=0.0)
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from rewards.build import build
from rewards.part import Row
from rewards.reward import Result, Reward
from rewards.spec import RewardSpec, RuleSpec
from verlaunch.errors import UserError
from verlaunch.plan.reward.answers import JUNK, reference_of
from verlaunch.plan.reward.checks import built_in
from verlaunch.plan.reward.references import evenly

TRIED = 8  # rows
COMPARING = ("math_reasoning", "choice", "qa")  # built-in rules that need an answer
LOOKED_AT = 2000  # rows among which all data sources should appear


@dataclass(frozen=True)
class Means:
    """Mean score of the tried rows when the response is the reference answer, empty, or junk."""

    reference: float
    empty: float
    junk: float


def by_rules(spec: RewardSpec) -> RewardSpec | None:
    """The parts that are rules, in their raw numbers; a single one counts 1."""
    parts = [part for part in spec.parts if isinstance(part.source, RuleSpec)]
    names = {part.name for part in parts}
    if not parts:
        return None

    def kept(weights: dict[str, float]) -> dict[str, float]:
        own = {name: weight for name, weight in weights.items() if name in names and weight}
        return dict.fromkeys(own, 1.0) if len(own) == 1 else own

    gates = {n: gate for n, gate in spec.gates.items() if n in names and gate.needs in names}
    by_source = {source: kept(weights) for source, weights in spec.by_source.items()}
    plain = tuple(replace(part, scale="none", clip=None) for part in parts)
    return RewardSpec(plain, kept(spec.weights), by_source, gates)


def _who(spec: RewardSpec, name: str) -> str:
    if len(spec.parts) > 1:
        return f"the reward for data_source {name!r}"
    rules = spec.parts[0].source
    assert isinstance(rules, RuleSpec)
    return (
        f"--reward_fn {rules.function}" if rules.function else f"the rule for data_source {name!r}"
    )


def _unanswered(spec: RewardSpec, name: str, rows: Sequence[Row]) -> list[str]:
    rules = [part.source for part in spec.parts if isinstance(part.source, RuleSpec)]
    lacking = sum(reference_of(row) is None for row in rows)
    if not lacking or not any(built_in(rule, name) in COMPARING for rule in rules):
        return []
    return [
        f"{_who(spec, name)} compares with a reference answer, and {lacking} of {len(rows)} rows "
        "tried have none: these score 0 whatever the response. Name the column of the answers: "
        "--answer_key COLUMN."
    ]


async def _references(reward: Reward, rows: Sequence[Row], who: str) -> list[Result]:
    """Of the rows that have an answer: unit tests are none."""
    results = []
    for row, answer in [(row, reference_of(row)) for row in rows]:
        if answer is None:
            continue
        result = await reward.score(replace(row, response=answer))
        if any("load" in counters for counters in reward.counters.values()):
            raise UserError(f"{who}: {result.reason}")
        if result.failed:
            raise UserError(
                f"{who} failed on a reference answer ({answer[:60]!r}): {result.reason}"
            )
        results.append(result)
    return results


async def _rubbish(reward: Reward, rows: Sequence[Row], response: str) -> list[Result]:
    """Stops at the first failure: a hang on every row would take minutes."""
    results = []
    for row in rows:
        results.append(await reward.score(replace(row, response=response)))
        if results[-1].failed:
            break
    return results


def _mean(results: Sequence[Result]) -> float:
    return sum(result.score for result in results) / len(results)


async def _try_source(
    reward: Reward, rows: Sequence[Row], who: str
) -> tuple[Means | None, list[str]]:
    """No means where no row has a reference answer."""
    tried = {
        "a reference answer": await _references(reward, rows, who),
        "an empty response": await _rubbish(reward, rows, ""),
        "a junk response": await _rubbish(reward, rows, JUNK),
    }
    notes = [
        f"{who} failed on {what}; such a row will count as failed, not as 0: {result.reason}"
        for what, results in tried.items()
        for result in results
        if result.failed
    ]
    if not tried["a reference answer"]:
        return None, notes
    means = Means(*map(_mean, tried.values()))
    if not notes and means.reference <= max(means.junk, means.empty):
        notes.append(
            f"{who}: the reward does not tell the reference answer from junk (reference "
            f"{means.reference:g}, empty {means.empty:g}, junk {means.junk:g})"
        )
    return means, notes


async def try_rules(
    spec: RewardSpec, rows: Iterable[Row]
) -> tuple[dict[str, Means], dict[str, list[str]], list[str]]:
    """Means, keys and notes. Raises CannotStart, UserError."""
    means: dict[str, Means] = {}
    keys: dict[str, list[str]] = {}
    notes: list[str] = []
    reward = build(spec)
    scored = (row for row in islice(rows, LOOKED_AT) if spec.weights_for(row.data_source))
    try:
        for name, picked in evenly(scored, TRIED).items():
            reward.forget_keys()
            found, said = await _try_source(reward, picked, _who(spec, name))
            means |= {name: found} if found else {}
            notes += said + _unanswered(spec, name, picked)
            for part, told in reward.keys.items():
                keys[part] = list(dict.fromkeys([*keys.get(part, []), *told]))
        return means, keys, notes
    finally:
        await reward.close()
