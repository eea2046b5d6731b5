"""What the parts of a reward are, as small files show: which rows they score, what they run.

    built_in(RuleSpec(), "code/mine")   ->  "code"
    probe_model(part).architecture      ->  "Qwen2ForSequenceClassification"

Nothing here loads weights or asks a server, so that --dry_run can tell. Left out on purpose: what
keeps a reward from starting (plan/guards/reward_parts.py), and whether it makes
sense on real rows (trial/).
"""

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from rewards.registry import UnknownDataSource, rule_of
from rewards.spec import ModelSpec, PartSpec, RewardSpec, RuleSpec
from rewards.table import BadTable
from verlaunch.inputs.models import is_local

if TYPE_CHECKING:
    from rewards.models.probe import Probe


def counts(spec: RewardSpec, name: str, data_source: str) -> bool:
    """Whether rows of this source are scored by the part, or need it for a gate."""
    weights = {part for part, weight in spec.weights_for(data_source).items() if weight}
    needed = {gate.needs for part, gate in spec.gates.items() if part in weights}
    return name in weights | needed


def module_of(rules: RuleSpec, data_source: str) -> str:
    """Where the rule of this source stands; empty where there is none."""
    try:
        rule = rule_of(rules, data_source)
    except (UnknownDataSource, BadTable):
        return ""
    return (rule.func if isinstance(rule, partial) else rule).__module__


def built_in(rules: RuleSpec, data_source: str) -> str:
    """The built-in rule of this source: "code"; empty where another scores it, or none."""
    module = "" if rules.function else module_of(rules, data_source)
    package, _, name = module.rpartition(".")
    return name if package == "rewards.rules" else ""


def runs_programs(rules: RuleSpec, data_source: str) -> bool:
    return built_in(rules, data_source) == "code"


def program_sources(spec: RewardSpec, data_sources: Iterable[str]) -> set[str]:
    """Those whose answers are programs."""
    rules = [part.source for part in spec.parts if isinstance(part.source, RuleSpec)]
    return {name for name in data_sources if any(runs_programs(rule, name) for rule in rules)}


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
    from rewards.sandbox.tiers import isolation

    return isolation(which.sandbox_url, which.allow_unsafe_code).sentence


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
