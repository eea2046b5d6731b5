"""What makes it the same reward as yesterday: a folder's run is only ever continued with it.

    identity(spec)   # "0.7 rm_score + 0.3 rule_score (rule_score: rules; rm_score: org/model)"
    scales(spec)     # "rm_score scale affine, clip 5"

How fast, how often, how dear, on which device and what becomes of failures may change from day to
day. Left out on purpose: what stands in a user's function; mending it is no other reward.
"""

import hashlib

from rewards.spec import ModelSpec, RewardSpec, RuleSpec
from verlaunch.plan.reward.rows import Source, scaling, weighted


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:8]


def _name(source: Source) -> str:
    if isinstance(source, RuleSpec):
        named = f"{source.rule} {source.options}" if source.rule else None
        return source.function or named or source.table or "rules"
    if isinstance(source, ModelSpec):
        words = [source.path or source.url, source.tokenizer and f"read by {source.tokenizer}"]
        words += [f"{source.max_length} tokens"] if source.max_length else []
        return ", ".join(filter(None, words))
    prompts = _digest(source.system_prompt, source.scoring_prompt, str(source.scale))
    return f"{source.provider} {source.model}, prompts {prompts}"


def identity(spec: RewardSpec) -> str:
    """`rules`, or the name of what scores alone, or the whole sum."""
    only = spec.parts[0]
    if spec.weights == {only.name: 1.0} and not spec.by_source:
        return _name(only.source)
    weights = [weighted(spec.weights, spec.gates)]
    weights += [f"{source}: {weighted(w, spec.gates)}" for source, w in spec.by_source.items()]
    parts = [f"{part.name}: {_name(part.source)}" for part in spec.parts]
    return f"{'; '.join(weights)} ({'; '.join(parts)})"


def scales(spec: RewardSpec) -> str:
    """The other half, which may depend on the data (references.py)."""
    said = [f"{part.name} {scaling(part)}" for part in spec.parts if scaling(part)]
    return "; ".join(said) or "none"
