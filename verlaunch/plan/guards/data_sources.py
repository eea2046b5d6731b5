"""Rows that nothing would score: a data_source without a rule, or without a weight.

    [finding.text for finding in check(spec, ["math_reasonin"])]
    ->  ["no rule for data_source 'math_reasonin'; known: ... Did you mean 'math_reasoning'? ..."]

Left out on purpose: whether the reward makes sense on real rows (plan/reward/trial/).
"""

from collections.abc import Iterable, Iterator

from rewards.registry import UnknownDataSource, rule_of
from rewards.spec import JudgeSpec, ModelSpec, RewardSpec, RuleSpec
from rewards.table import BadTable
from verlaunch.errors import Finding
from verlaunch.inputs.data.rows import NO_LABEL
from verlaunch.plan.reward.checks import counts

WAYS_OUT = (
    "Name the rule with --data_source, or bring your own reward with --reward_fn FILE.py:FUNCTION."
)


def check(spec: RewardSpec, data_sources: Iterable[str]) -> Iterator[Finding]:
    """One for each data_source that no part scores, or whose rule is missing."""
    said = (text for source in dict.fromkeys(data_sources) for text in _unscored(spec, source))
    return map(Finding, dict.fromkeys(said))


def _unscored(spec: RewardSpec, source: str) -> Iterator[str]:
    parts = [part for part in spec.parts if counts(spec, part.name, source)]
    if not parts:
        yield f"no part of the reward has a weight for data_source {source!r}."
    for part in parts:
        if why := _no_rule(part.source, source):
            yield why


def _no_rule(rules: RuleSpec | ModelSpec | JudgeSpec, source: str) -> str:
    if not isinstance(rules, RuleSpec) or rules.function:
        return ""
    try:
        rule_of(rules, source)
    except UnknownDataSource as error:
        said = str(error)
        if source == NO_LABEL:
            said = f"some rows name no data_source, which picks the rule; {said.partition('; ')[2]}"
        return f"{said} {WAYS_OUT}"
    except BadTable as error:
        return str(error)
    return ""
