"""A template that opens <think>: it is seen before any response, and rules know of it."""

import asyncio
from typing import Any

import pytest
from omegaconf import OmegaConf
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from rewards.build import build
from rewards.part import Row
from rewards.spec import PartSpec, RewardSpec, RuleSpec
from verlaunch.engine.reward.manager import opens_thought

PLAIN = "{{ messages[0].content }} assistant:"
OPENS = PLAIN + "{% if enable_thinking is not defined or enable_thinking %}<think>\n{% endif %}"


@pytest.mark.parametrize(
    ("template", "custom", "options", "opened"),
    [
        (PLAIN, None, {}, False),
        (OPENS, None, {}, True),
        (OPENS, None, {"enable_thinking": False}, False),
        (PLAIN, OPENS, {}, True),
        (OPENS, PLAIN, {}, False),
        (None, None, {}, False),
    ],
)
def test_the_runs_own_template_tells(
    template: str | None, custom: str | None, options: dict[str, Any], opened: bool
) -> None:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel({"a": 0}, "a")))
    tokenizer.chat_template = template
    model = {"model": {"custom_chat_template": custom}}
    data = {"apply_chat_template_kwargs": options}
    config = OmegaConf.create({"actor_rollout_ref": model, "data": data})
    assert opens_thought(tokenizer, config) is opened
    assert opens_thought(tokenizer, OmegaConf.create({})) is bool(
        template and "<think>" in template
    )


def score(source: str, response: str, opened: bool, rules: RuleSpec) -> float:
    async def scored() -> float:
        reward = build(RewardSpec((PartSpec("rule_score", rules),), {"rule_score": 1.0}))
        await reward.start([])
        result = await reward.score(Row(source, response, "Rome", opened=opened))
        await reward.close()
        return result.score

    return asyncio.run(scored())


@pytest.mark.parametrize(
    ("source", "response", "opened", "unopened"),
    [
        ("qa", "Pisa? No.</think> Rome", 1.0, 1.0),
        ("qa", "It is Rome, I think.\nRome", 0.0, 1.0),  # still thinking
        ("format", "Pisa? No.</think> <answer>Rome</answer>", 1.0, 0.0),
        ("format", "<think>Pisa?</think> <answer>Rome</answer>", 0.0, 1.0),
        ("repetition", "Rome", 1.0, 1.0),
    ],
)
def test_rules_read_the_tag_that_the_template_wrote(
    source: str, response: str, opened: float, unopened: float
) -> None:
    assert score(source, response, True, RuleSpec()) == opened
    assert score(source, response, False, RuleSpec()) == unopened


def test_a_table_that_says_opened_itself_is_not_told_twice() -> None:
    rules = RuleSpec(rule="format", options={"opened": True})
    assert score("any", "Pisa?</think><answer>Rome</answer>", True, rules) == 1.0
