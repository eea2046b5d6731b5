"""A run's reward as plain data: which parts, with which weights. It travels as JSON.

    RewardSpec(parts=(PartSpec("rule_score", RuleSpec()),), weights={"rule_score": 1.0})
    from_dict(to_dict(spec)) == spec

Everything is settled here: defaults filled, prompts read, paths absolute. Keys of providers are
never in it. Left out on purpose: where the values come from (verlaunch/plan/reward/).
"""

from dataclasses import asdict, dataclass, field, fields
from fnmatch import fnmatchcase
from typing import Any, Literal

Scaling = Literal["none", "affine", "running", "sigmoid"]


@dataclass(frozen=True)
class RuleSpec:
    """function: the user's `path.py:function`; None: the rule of the row's data_source.

    table: a YAML file that maps data_source patterns to rules; None: rewards/rules.yaml.
    rule: one built-in rule, with its options, for every data_source: "length", {"limit": 200}.
    """

    function: str | None = None
    table: str | None = None
    timeout_s: float = 30.0
    workers: int = 1
    sandbox_url: str | None = None
    allow_unsafe_code: bool = False
    rule: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelSpec:
    """path: folder or hub id, None with url only. device: auto, cpu or cuda.

    gpus: cards of its own; 0 shares the first. max_length: tokens; None: the model's own.
    """

    path: str | None
    url: str | None = None
    tokenizer: str | None = None
    device: str = "auto"
    gpus: int = 0
    max_length: int | None = None
    trust_remote_code: bool = False
    backend: Literal["auto", "vllm", "transformers"] = "auto"


@dataclass(frozen=True)
class JudgeSpec:
    """system_prompt, scoring_prompt: whole texts. scale: lowest and highest score of the prompt.

    rpm, tpm: requests and tokens per minute, None without limit. cache: a file, None for none.
    budget_usd, budget_requests: the run stops when one is spent. thinking: False switches it off at
    a server of one's own. lenient: scores such as "9" and 9.0, and those without a reason, count.
    """

    provider: str
    model: str
    system_prompt: str
    scoring_prompt: str
    scale: tuple[int, int] = (1, 10)
    base_url: str | None = None
    region: str | None = None
    concurrency: int = 32
    rpm: float | None = None
    tpm: float | None = None
    timeout_s: float = 60.0
    retries: int = 8
    samples: int = 1
    max_tokens: int = 1024
    cache: str | None = None
    budget_usd: float | None = None
    budget_requests: int | None = None
    thinking: bool | None = None
    lenient: bool = False


@dataclass(frozen=True)
class PartSpec:
    """on_failure: "neutral", "min", "raise" or a number. clip: after scaling, to [-clip, clip]."""

    name: str  # its curve: rule_score, rm_score, judge_score, or the user's name for it
    source: RuleSpec | ModelSpec | JudgeSpec
    scale: Scaling = "none"
    clip: float | None = None
    on_failure: str | float = "neutral"

    @property
    def stem(self) -> str:
        """rule of rule_score: what its other keys begin with."""
        return self.name.removesuffix("_score")


@dataclass(frozen=True)
class Gate:
    """The gated part counts 0 unless the part `needs` scores at least `at_least`."""

    needs: str
    at_least: float


@dataclass(frozen=True)
class RewardSpec:
    """weights: of each part; by_source: pattern of data_source -> other weights, first match wins.

    A part without a weight there counts 0, and is not asked unless a gate needs it.
    """

    parts: tuple[PartSpec, ...]
    weights: dict[str, float]
    by_source: dict[str, dict[str, float]] = field(default_factory=dict)
    gates: dict[str, Gate] = field(default_factory=dict)

    def weights_for(self, data_source: str) -> dict[str, float]:
        for pattern, weights in self.by_source.items():
            if fnmatchcase(data_source, pattern):
                return weights
        return self.weights

    @property
    def is_local(self) -> bool:
        """Cheap, and without constants that belong to the whole run: computed anywhere."""
        return all(
            isinstance(part.source, RuleSpec) and part.scale not in ("affine", "running")
            for part in self.parts
        )


RULES = RewardSpec((PartSpec("rule_score", RuleSpec()),), {"rule_score": 1.0})
_SOURCES = {"rule": RuleSpec, "model": ModelSpec, "judge": JudgeSpec}


def to_dict(spec: RewardSpec) -> dict[str, Any]:
    plain = asdict(spec)
    kinds = {kind: name for name, kind in _SOURCES.items()}
    for part, written in zip(spec.parts, plain["parts"], strict=True):
        written["kind"] = kinds[type(part.source)]
    return plain


def from_dict(plain: dict[str, Any]) -> RewardSpec:
    parts = tuple(_part(dict(part)) for part in plain["parts"])
    gates = {name: Gate(**gate) for name, gate in plain["gates"].items()}
    return RewardSpec(parts, plain["weights"], plain["by_source"], gates)


def _part(plain: dict[str, Any]) -> PartSpec:
    kind = _SOURCES[plain.pop("kind")]
    source = plain.pop("source")
    if "scale" in {field.name for field in fields(kind)}:
        source = {**source, "scale": tuple(source["scale"])}
    return PartSpec(source=kind(**source), **plain)
