"""Parts of a reward that cannot start, and rows that nothing would score.

    [finding.text for finding in check(spec, ["math_reasonin"])]
    ->  ["no rule for data_source 'math_reasonin'; known: ... Did you mean 'math_reasoning'? ...",
         "rm_score: --reward_model models/none: no such folder. ..."]

Nothing here loads weights or asks a server, so that --dry_run can tell. Left out on purpose:
whether the reward makes sense on real rows (plan/reward/trial/).
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from rewards.part import CannotStart
from rewards.registry import UnknownDataSource, rule_of
from rewards.spec import JudgeSpec, ModelSpec, PartSpec, RewardSpec, RuleSpec
from rewards.table import BadTable
from verlaunch.errors import Finding, UserError
from verlaunch.inputs.data.rows import NO_LABEL
from verlaunch.inputs.models import hub_file, is_local
from verlaunch.plan.reward.checks import counts, flags_of, probe_model, sandbox

WAYS_OUT = (
    "Name the rule with --data_source, or bring your own reward with --reward_fn FILE.py:FUNCTION."
)


def check(spec: RewardSpec, data_sources: Iterable[str]) -> Iterator[Finding]:
    yield from unscored(spec, data_sources)
    questions: list[tuple[str, Callable[[], object]]] = [
        (part.name, partial(ask, part))
        for part in spec.parts
        for kind, ask in ((JudgeSpec, _make_client), (ModelSpec, _find_model))
        if isinstance(part.source, kind)
    ]
    questions.append(("rule_score", lambda: sandbox(spec, data_sources, ask_server=False)))
    for who, question in questions:
        try:
            question()
        except CannotStart as error:
            yield Finding(f"{who}: {error}")


def unscored(spec: RewardSpec, data_sources: Iterable[str]) -> Iterator[Finding]:
    """One for each data_source that no part scores, or whose rule is missing."""
    said = (text for source in dict.fromkeys(data_sources) for text in _lacks(spec, source))
    return map(Finding, dict.fromkeys(said))


def _lacks(spec: RewardSpec, source: str) -> Iterator[str]:
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


def _find_model(part: PartSpec) -> None:
    """On this machine, else on the hub: one question, as for the policy."""
    model, (flag, _) = part.source, flags_of(part)
    assert isinstance(model, ModelSpec)
    if model.url is None and model.path is not None and not is_local(model.path):
        try:
            hub_file(model.path, flag, "config.json")
        except UserError as error:
            raise CannotStart(str(error)) from None
    probe_model(part)


def _make_client(part: PartSpec) -> None:
    from rewards.judge.client import Client

    assert isinstance(part.source, JudgeSpec)
    Client(part.source)  # reads the key, and looks the price up when the budget is in dollars
