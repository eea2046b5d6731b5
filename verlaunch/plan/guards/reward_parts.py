"""Parts of a reward that cannot start: a judge without a key, a model that is none, no sandbox.

    [finding.text for finding in check(spec, ["math_reasoning"])]
    ->  ["rm_score: --reward_model models/none: no such folder. ..."]

Nothing here loads weights or asks a server, so that --dry_run can tell.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from rewards.part import CannotStart
from rewards.spec import JudgeSpec, ModelSpec, PartSpec, RewardSpec
from verlaunch.errors import Finding, UserError
from verlaunch.inputs.models import hub_file, is_local
from verlaunch.plan.reward.checks import flags_of, probe_model, sandbox


def check(spec: RewardSpec, data_sources: Iterable[str]) -> Iterator[Finding]:
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
