"""verl's reward manager (`reward.reward_manager`, source importlib): response in, score out.

The manager sees what a custom reward function of verl never does: the chat messages of the prompt.
Rules are computed in this process; a reward with a model or a judge is asked of the run's one
reward actor, so that scores stream in while other responses are still being generated.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import ray
from omegaconf import OmegaConf
from ray.exceptions import RayActorError
from verl import DataProto
from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase

from rewards.build import build
from rewards.checks import FAILED
from rewards.part import Row
from rewards.reward import Result
from verlaunch.engine.actors import NAME
from verlaunch.engine.reward import actor as reward_actor
from verlaunch.engine.reward import settings as reward_settings
from verlaunch.engine.reward.said import said

logger = logging.getLogger(__name__)


class RewardManager(RewardManagerBase):
    def __init__(self, config: Any, tokenizer: Any, compute_score: Any, **unused: Any) -> None:
        super().__init__(config, tokenizer, compute_score)
        settings = reward_settings.read(config)
        self.actor = self.reward = None
        if settings.spec.is_local:
            self.reward = build(settings.spec, settings.keys, settings.state)
        else:
            self.actor = ray.get_actor(NAME)
        self.told: set[str] = set()
        self.opened = opens_thought(tokenizer, config)

    async def score(
        self, response_ids: Sequence[int], columns: Mapping[str, Any], counts: bool = True
    ) -> Result:
        """response_ids: (response_len,), without padding. columns: the row of the dataset."""
        row = Row(
            str(columns["data_source"]),
            said(self.tokenizer, response_ids),
            columns["reward_model"]["ground_truth"],
            columns.get("extra_info"),
            [dict(message) for message in columns["raw_prompt"]],
            counts,
            self.opened,
        )
        result = await self._score(row)
        if result.reason and result.reason not in self.told:
            self.told.add(result.reason)
            logger.error("the reward failed: %s", result.reason)
        return result

    async def _score(self, row: Row) -> Result:
        if self.reward is not None:
            return await self.reward.score(row)
        assert self.actor is not None
        try:
            return Result(*await self.actor.score.remote(asdict(row)))
        except RayActorError:
            # The trainer asks the actor too, after the rollout, and stops with a checkpoint. Raised
            # here it would end the run without one: verl finds a batch without a single row.
            return Result(0.0, {FAILED: 1.0}, True, "the reward's process died")

    async def run_single(self, data: DataProto) -> dict[str, Any]:
        """verl's own call: one trajectory, padded; only its last turn is scored."""
        item = data[-1:][0]
        responses = item.batch["responses"]
        length = int(item.batch["attention_mask"][-responses.shape[-1] :].sum())
        result = await self.score(responses[:length].tolist(), item.non_tensor_batch)
        return {"reward_score": result.score, "reward_extra_info": extra_info(result)}

    def report(self) -> dict[str, Any] | None:
        """Of a reward that lives here, else None."""
        return None if self.reward is None else reward_actor.report(self.reward)


def opens_thought(tokenizer: Any, config: Any) -> bool:
    """Whether the template ends each prompt in <think>, which no response then holds itself.

    The template of the run: verl sets a custom one on the rollout's tokenizer only.
    """
    template = OmegaConf.select(config, "actor_rollout_ref.model.custom_chat_template")
    if not (template or getattr(tokenizer, "chat_template", None)):
        return False
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "6 * 7?"}],
        chat_template=template,
        add_generation_prompt=True,
        tokenize=False,
        **(OmegaConf.select(config, "data.apply_chat_template_kwargs") or {}),
    )
    return str(prompt).rstrip().endswith("<think>")


def extra_info(result: Result) -> dict[str, float]:
    return {**result.parts, "score": result.score}
