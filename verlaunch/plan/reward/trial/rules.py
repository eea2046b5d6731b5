"""Rules and functions on a few real rows: with the reference answer, an empty and a junk response.

tried = await try_rules(spec, rows)
tried.means["math_reasoning"]   # {"reference": 1.0, "empty": 0.0, "junk": 0.0}
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from rewards.part import CannotStart, Row
from rewards.spec import RewardSpec, RuleSpec
from verlaunch.errors import Finding, warnings
from verlaunch.paths import as_typed
from verlaunch.plan.reward.checks import built_in, program_sources
from verlaunch.plan.reward.trial.answers import REFERENCE, answers_to, reference_of
from verlaunch.plan.reward.trial.attack import attacks
from verlaunch.plan.reward.trial.few import few
from verlaunch.plan.reward.trial.measure import Scored, measure
from verlaunch.plan.reward.trial.on_attack import paid, sentence
from verlaunch.plan.reward.trial.on_references import on_references
from verlaunch.plan.reward.trial.remark import NAMES
from verlaunch.plan.reward.trial.rows import TRIED
from verlaunch.plan.reward.trial.summary import Source, summarise

CHEAP_S = 0.5  # for cheap answers; what is not tried by then is left to score --attack
MOST_KINDS = 3  # of cheap answers in a sentence
COMPARING = ("math_reasoning", "choice", "qa")  # built-in rules that need an answer


@dataclass(frozen=True)
class Trial:
    """means: of rules and functions together, by data_source and kind of answer. references: an
    answer of each, as scored. keys: what such a part returns beside its score.

    asked: judges and servers that answered. later: what only a start tries.
    spec: the reward, with its models on this machine where they were fetched.
    """

    spec: RewardSpec
    means: dict[str, dict[str, float]] = field(default_factory=dict)
    references: dict[str, str] = field(default_factory=dict)
    keys: dict[str, list[str]] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    asked: tuple[str, ...] = ()
    later: tuple[str, ...] = ()

    @property
    def notes(self) -> list[str]:
        return list(dict.fromkeys(warnings(self.findings)))


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


def _compares(spec: RewardSpec, name: str) -> bool:
    rules = [part.source for part in spec.parts if isinstance(part.source, RuleSpec)]
    return any(built_in(rule, name) in COMPARING for rule in rules)


def _unanswered(spec: RewardSpec, name: str, rows: Sequence[Row]) -> Iterator[str]:
    lacking = sum(reference_of(row) is None for row in rows)
    if lacking and _compares(spec, name):
        yield (
            f"{_who(spec, name)} compares with a reference answer, and {lacking} of {len(rows)} "
            "rows tried have none: these fail, or score 0, whatever they say. Name the column of "
            "the answers: --answer_key COLUMN."
        )


def _failures(who: str, failed: Sequence[Scored]) -> Iterator[Finding]:
    """The first of each kind of answer. A reference that fails stops the run."""
    first: dict[str, Scored] = {}
    for one in failed:
        first.setdefault(one.answer.kind, one)
    for kind, one in first.items():
        reason, answer = one.result.reason, one.answer.row.response[:60]
        if any(said.kind == "load" for said in one.said.values()):
            yield Finding(f"{who}: {reason}")
        elif kind == REFERENCE:
            yield Finding(f"{who} failed on a reference answer ({answer!r}): {reason}")
        else:
            counts = "such a row will count as failed, not as 0"
            yield Finding(f"{who} failed on {NAMES[kind]}; {counts}: {reason}", stops=False)


def _attacked(who: str, source: Source) -> Iterator[str]:
    if found := [one for one in paid(source, without_reference=False) if one.is_bad]:
        said = sentence(found[:MOST_KINDS])
        yield f"{who}: {said}. See more of it: {as_typed('./train.sh score --attack')}"


def _about(spec: RewardSpec, source: Source, rows: Sequence[Row]) -> Iterator[Finding]:
    who, failed = _who(spec, source.name), source.failed
    if _compares(spec, source.name):  # without a reference they fail; that is told once
        failed = [one for one in failed if reference_of(one.answer.row) is not None]
    yield from _failures(who, failed)
    if source.of(REFERENCE) and not source.failed:
        for remark in on_references(source):
            if remark.level != "good":
                yield Finding(f"{who}: {remark.text}", stops=False)
    yield from (Finding(text, stops=False) for text in _attacked(who, source))
    yield from (Finding(text, stops=False) for text in _unanswered(spec, source.name, rows))


def _keys(scored: Sequence[Scored]) -> dict[str, list[str]]:
    keys: dict[str, dict[str, None]] = {}
    for one in scored:
        for part, said in one.said.items():
            if said.scores is not None:
                keys.setdefault(part, {}).update(dict.fromkeys(said.scores))
    return {part: [key for key in found if key != "score"] for part, found in keys.items()}


async def try_rules(spec: RewardSpec, rows: Iterable[Row]) -> Trial:
    """Never raises for what is wrong with the reward: that is among the findings."""
    rules = by_rules(spec)
    picked = few((row for row in rows if rules and rules.weights_for(row.data_source)), TRIED)
    if rules is None or not picked:
        return Trial(spec)
    programs = program_sources(rules, {row.data_source for row in picked})
    try:
        # A hang takes the function's whole time limit: one is enough.
        answers = [*answers_to(picked, programs=programs), *attacks(picked, programs)]
        _, scored = await measure(rules, answers, most_hangs=1, cheap_s=CHEAP_S)
    except CannotStart as error:
        return Trial(spec, findings=(Finding(str(error)),))
    found: list[Finding] = []
    tried = Trial(spec, keys=_keys(scored))
    for source in summarise(rules, scored):
        own = [row for row in picked if row.data_source == source.name]
        found += _about(rules, source, own)
        if answer := next(filter(None, map(reference_of, own)), None):
            tried.means[source.name] = {kind: one.mean for kind, one in source.scores.items()}
            tried.references[source.name] = answer
    return replace(tried, findings=tuple(found))
