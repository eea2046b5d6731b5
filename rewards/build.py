"""From a RewardSpec to a Reward that can score; parts are imported when they are asked for.

reward = build(RULES)
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rewards.part import Part
from rewards.reward import Reward
from rewards.rule_part import RulePart
from rewards.spec import JudgeSpec, ModelSpec, RewardSpec, RuleSpec


def make_part(source: RuleSpec | ModelSpec | JudgeSpec) -> Part:
    if isinstance(source, RuleSpec):
        return RulePart(source)
    if isinstance(source, JudgeSpec):
        from rewards.judge.judge import Judge

        return Judge(source)
    from rewards.models.model_part import ModelPart

    return ModelPart(source)


def build(
    spec: RewardSpec,
    keys: Mapping[str, Sequence[str]] | None = None,
    state: Mapping[str, Any] | None = None,
) -> Reward:
    """Raises CannotStart for what can be seen at once: a missing file, a missing key."""
    return Reward(spec, {part.name: make_part(part.source) for part in spec.parts}, keys, state)
