"""A reward in the plan: what is summed, with which weights, and where each number comes from.

    reward       0.7 rm_score + 0.3 rule_score
    rm_score     Skywork/Skywork-Reward-V2-Qwen3-0.6B; scale affine, clip 5
    rule_score   the built-in rule of each data_source: gsm8k by math_reasoning

Left out on purpose: how it judges real rows (trial/ finds out, sentences.py says it).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import chain, repeat
from typing import Any

from rewards.functions.user import PACKAGE
from rewards.part import CannotStart
from rewards.registry import known_sources
from rewards.scale import DEFAULT_CLIP
from rewards.spec import Gate, JudgeSpec, ModelSpec, PartSpec, RewardSpec, RuleSpec
from rewards.table import BadTable
from verlaunch.config.tree import ROLLOUT, get, sequence_length
from verlaunch.plan.reward.checks import counts, module_of, probe_model
from verlaunch.text import plural

SHOWN = 6  # data sources
CHARS_PER_TOKEN = 4
# A judge's input beside its two prompts, and its answer: rules, markers, a sentence and a number.
OVERHEAD_TOKENS, ANSWER_TOKENS = 350, 80

Source = RuleSpec | ModelSpec | JudgeSpec


@dataclass(frozen=True)
class Work:
    """What a run will ask for. tokens: of a prompt and its response together, about."""

    data_sources: Sequence[str]
    responses: int
    tokens: int

    @classmethod
    def of(cls, verl: dict[str, Any], data_sources: Iterable[str]) -> "Work":
        per_step = get(verl, "data.train_batch_size") * get(verl, f"{ROLLOUT}.n")
        steps = get(verl, "trainer.total_training_steps")
        return cls(list(data_sources), steps * per_step, sequence_length(verl) // 2)


def weighted(weights: dict[str, float], gates: dict[str, Gate]) -> str:
    counted = [(name, weight) for name, weight in weights.items() if weight]
    shown = " + ".join(f"{weight:g} {name}" for name, weight in counted) or "nothing"
    closed = [
        f"{name} only where {gates[name].needs} is at least {gates[name].at_least:g}"
        for name, _ in counted
        if name in gates
    ]
    return "; ".join([shown, *closed])


def _weights(spec: RewardSpec, sources: Sequence[str]) -> Iterator[str]:
    """Whole weights where all data has the same, else by data_source."""
    if not spec.by_source:
        yield weighted(spec.weights, spec.gates)
        return
    for source in sources[:SHOWN]:
        yield f"{source}: {weighted(spec.weights_for(source), spec.gates)}"
    if len(sources) > SHOWN:
        yield f"and {plural(len(sources) - SHOWN, 'data_source')} more"


def rule_name(rules: RuleSpec, source: str) -> str:
    """`math_reasoning by math_reasoning`: the data_source and the rule that scores it."""
    module = module_of(rules, source)
    name = module.removeprefix("rewards.rules.")
    if module.startswith(f"{PACKAGE}."):
        name = module.rpartition(".")[2]
    return f"{source} by {name or 'none'}"


def _rules(rules: RuleSpec, spec: RewardSpec, name: str, sources: Sequence[str]) -> str:
    if rules.function:
        processes = f" in {rules.workers} processes" if rules.workers > 1 else ""
        return f"{rules.function}{processes}, at most {rules.timeout_s:g} s a response"
    if rules.rule:
        options = ", ".join(f"{name} {given}" for name, given in rules.options.items())
        return f"the rule {rules.rule}" + (f" ({options})" if options else "")
    scored = [source for source in sources if counts(spec, name, source)]
    of = f"{rules.table}, then the built-in rules" if rules.table else "the rule of its data_source"
    more = ", ..." if len(scored) > SHOWN else ""
    return f"{of}: {', '.join(rule_name(rules, s) for s in scored[:SHOWN])}{more}"


def _model(part: PartSpec, model: ModelSpec) -> str:
    if model.url:
        return f"{model.path or 'the model'} at {model.url}"
    where = f"{plural(model.gpus, 'GPU')} of its own" if model.gpus else model.device
    try:
        found = probe_model(part)
    except CannotStart:
        found = None
    if found is None:
        return f"{model.path} on {where}"
    backend = {"vllm": "vLLM"}.get(found.backend, found.backend)
    return (
        f"{model.path} ({found.architecture}, {backend}) on {where}; at most "
        f"{plural(found.max_length, 'token')}"
    )


def scaling(part: PartSpec) -> str:
    clip = part.clip
    if part.scale in ("affine", "running") and clip is None:
        clip = DEFAULT_CLIP
    words = [f"scale {part.scale}"] if part.scale != "none" else []
    return ", ".join(words + ([f"clip {clip:g}"] if clip else []))


def dollars(judge: JudgeSpec, work: Work) -> float | None:
    """At the listed price, without what the cache and skipped responses save; None: not known."""
    from rewards.judge.costs import Tokens, find_price

    own = judge.base_url and judge.provider == "openai"
    price = None if own else find_price(judge.provider, judge.model)
    if price is None:
        return None
    prompts = (len(judge.system_prompt) + len(judge.scoring_prompt)) // CHARS_PER_TOKEN
    one = price.usd(Tokens(prompts + OVERHEAD_TOKENS + work.tokens, ANSWER_TOKENS))
    return one * work.responses * judge.samples


def _cost(judge: JudgeSpec, work: Work) -> str:
    usd = dollars(judge, work)
    if usd is None:
        return ""
    return f", roughly ${usd:.2f}" if usd >= 0.01 else ", less than $0.01"


def _judge(judge: JudgeSpec, work: Work) -> str:
    calls = work.responses * judge.samples
    rates = [(judge.rpm, "requests"), (judge.tpm, "tokens")]
    budgets = [(judge.budget_usd, "usd"), (judge.budget_requests, "requests")]
    said = [
        f"{judge.provider} {judge.model}" + (f" at {judge.base_url}" if judge.base_url else ""),
        f"up to {calls:,} judgements in training{_cost(judge, work)}",
        ", ".join([f"{judge.concurrency} at once",
                   *(f"{rate:g} {what} a minute" for rate, what in rates if rate)]),
        *(f"budget {most:g} {what}" for most, what in budgets if most),
        f"cache {judge.cache}" if judge.cache else "no cache",
    ]  # fmt: skip
    return "; ".join(said)


def _part(part: PartSpec, spec: RewardSpec, work: Work) -> str:
    source = part.source
    if not any(counts(spec, part.name, s) for s in work.data_sources or [""]):
        return "scores no row of this data"
    if isinstance(source, RuleSpec):
        said = _rules(source, spec, part.name, work.data_sources)
    elif isinstance(source, ModelSpec):
        said = _model(part, source)
    else:
        said = _judge(source, work)
    return "; ".join(filter(None, [said, scaling(part)]))


def route(spec: RewardSpec, work: Work) -> Iterator[tuple[str, str]]:
    """Rows of the plan: what is summed, then each part; and judges that are out of date."""
    yield from _parts(spec, work)
    for part in spec.parts:
        if isinstance(part.source, JudgeSpec):
            notes = judge_notes(part.source) + _budget_notes(part.source, work)
        else:
            notes = _table_notes(part.source, work.data_sources)
        yield from (("note", note) for note in notes)


def _table_notes(source: RuleSpec | ModelSpec, data_sources: Sequence[str]) -> list[str]:
    """A typo in a pattern shows as a table that nothing goes by."""
    if not isinstance(source, RuleSpec) or not source.table:
        return []
    try:
        own = known_sources(source.table)[: -len(known_sources())]
    except BadTable:
        return []
    if any(fnmatchcase(name, pattern) for name in data_sources for pattern in own):
        return []
    return [f"no line of {source.table} matches this data ({', '.join(data_sources)})"]


def _budget_notes(judge: JudgeSpec, work: Work) -> list[str]:
    calls = work.responses * judge.samples
    if judge.budget_requests is None or judge.budget_requests >= calls:
        return []
    return [f"the budget of {judge.budget_requests} requests may end before the run does"]


def judge_notes(judge: JudgeSpec) -> list[str]:
    from rewards.judge.retired import model_notes

    return model_notes(judge.provider, judge.model)


def _parts(spec: RewardSpec, work: Work) -> Iterator[tuple[str, str]]:
    if len(spec.parts) == 1 and not spec.by_source and spec.weights == {spec.parts[0].name: 1.0}:
        yield "reward", _part(spec.parts[0], spec, work)
        return
    yield from zip(chain(["reward"], repeat("")), _weights(spec, work.data_sources), strict=False)
    for part in spec.parts:
        yield part.name, _part(part, spec, work)
