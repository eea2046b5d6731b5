"""What keeps a reward from starting, as far as small files, variables and the data's labels show.

    start_problems(spec, ["math_reasonin"])
    # ["no rule for data_source 'math_reasonin'; known: ... Did you mean 'math_reasoning'? ..."]

Nothing here loads weights or asks a server, so that --dry_run can tell. Left out on purpose:
whether the reward makes sense on real rows (try_out.py).
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from rewards.part import CannotStart
from rewards.registry import BadTable, UnknownDataSource, rule_of
from rewards.spec import JudgeSpec, ModelSpec, PartSpec, RewardSpec, RuleSpec
from verlaunch.errors import UserError
from verlaunch.inputs.data.rows import NO_LABEL
from verlaunch.inputs.models import hub_file, is_local

if TYPE_CHECKING:
    from rewards.models.probe import Probe

WAYS_OUT = (
    "Name the rule with --data_source, or bring your own reward with --reward_fn FILE.py:FUNCTION."
)


def counts(spec: RewardSpec, name: str, data_source: str) -> bool:
    """Whether rows of this source are scored by the part, or need it for a gate."""
    weights = {part for part, weight in spec.weights_for(data_source).items() if weight}
    needed = {gate.needs for part, gate in spec.gates.items() if part in weights}
    return name in weights | needed


def check_sources(spec: RewardSpec, data_sources: Iterable[str]) -> list[str]:
    """One sentence per data_source that no part scores, or whose rule is missing."""
    found = []
    for source in dict.fromkeys(data_sources):
        parts = [part for part in spec.parts if counts(spec, part.name, source)]
        if not parts:
            found.append(f"no part of the reward has a weight for data_source {source!r}.")
        for part in parts:
            found += _rule_problems(part.source, source)
    return list(dict.fromkeys(found))


def _rule_problems(rules: RuleSpec | ModelSpec | JudgeSpec, source: str) -> list[str]:
    if not isinstance(rules, RuleSpec) or rules.function:
        return []
    try:
        rule_of(rules, source)
    except UnknownDataSource as error:
        said = str(error)
        if source == NO_LABEL:
            said = f"some rows name no data_source, which picks the rule; {said.partition('; ')[2]}"
        return [f"{said} {WAYS_OUT}"]
    except BadTable as error:
        return [str(error)]
    return []


def built_in(rules: RuleSpec, data_source: str) -> str:
    """The built-in rule of this source: "code"; empty where another scores it, or none."""
    if rules.function:
        return ""
    try:
        rule = rule_of(rules, data_source)
    except (UnknownDataSource, BadTable):
        return ""
    package, _, name = (rule.func if isinstance(rule, partial) else rule).__module__.rpartition(".")
    return name if package == "rewards.rules" else ""


def runs_programs(rules: RuleSpec, data_source: str) -> bool:
    return built_in(rules, data_source) == "code"


def sandbox(spec: RewardSpec, data_sources: Iterable[str], ask_server: bool) -> str | None:
    """How programs of the data are isolated, in words; None when it has none.

    Raises CannotStart when they cannot be.
    """
    rules = [part.source for part in spec.parts if isinstance(part.source, RuleSpec)]
    sources = list(data_sources)
    which = next((one for one in rules if any(runs_programs(one, s) for s in sources)), None)
    if which is None:
        return None
    if which.sandbox_url and not ask_server:
        return "Programs run in the sandbox that --sandbox_url names."
    from rewards.sandbox import require_sandbox

    return require_sandbox(which.sandbox_url, which.allow_unsafe_code)


def flags_of(part: PartSpec) -> tuple[str, str]:
    """What the user typed for the model and its tokenizer, for messages."""
    return ("--reward_model", "--rm_tokenizer") if part.name == "rm_score" else (part.name,) * 2


def probe_model(part: PartSpec) -> "Probe | None":
    """What the model in a folder is; None where there is no folder. Raises CannotStart."""
    model = part.source
    assert isinstance(model, ModelSpec)
    if model.path is None or not is_local(model.path):
        return None
    from rewards.models.fetch import fetch
    from rewards.models.probe import probe

    flag, own = flags_of(part)
    folder = fetch(model.path, flag)
    local = model.tokenizer if model.tokenizer and is_local(model.tokenizer) else None
    return probe(
        folder,
        backend=model.backend,
        device=model.device,
        max_length=model.max_length,
        trust_remote_code=model.trust_remote_code,
        tokenizer=fetch(local, own, weights=False) if local else None,
    )


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


def _check_judge(part: PartSpec) -> None:
    from rewards.judge.client import Client

    assert isinstance(part.source, JudgeSpec)
    Client(part.source)  # reads the key, and looks the price up when the budget is in dollars


def start_problems(spec: RewardSpec, data_sources: Iterable[str]) -> list[str]:
    sources = list(data_sources)
    questions: list[tuple[str, Callable[[], object]]] = []
    for part in spec.parts:
        if isinstance(part.source, JudgeSpec):
            questions.append((part.name, partial(_check_judge, part)))
        elif isinstance(part.source, ModelSpec):
            questions.append((part.name, partial(_find_model, part)))
    questions.append(("rule_score", lambda: sandbox(spec, sources, ask_server=False)))
    found = check_sources(spec, sources)
    for who, question in questions:
        try:
            question()
        except CannotStart as error:
            found.append(f"{who}: {error}")
    return found
