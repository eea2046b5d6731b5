"""How the score is read from a loaded model: one function per kind of head.

    readout(model)(model, {"input_ids": ..., "attention_mask": ...}, batch)   # (batch,) float32

Decoders are read at their last token by its place, not by a padding id, so a model without one
(GPT-2) can be batched as well. Encoders and unknown classes are asked as they ask to be.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Qwen2Model, Qwen2PreTrainedModel

from rewards.models.armorm import LlamaForRewardModelWithGating
from rewards.models.scorer import Encoded

Readout = Callable[[Any, dict[str, Tensor], Sequence[Encoded]], Tensor]


class Qwen2ForRewardModel(Qwen2PreTrainedModel):
    """Qwen2.5-Math-RM: a head of two layers. The code beside the weights is not needed."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.model = Qwen2Model(config)
        width = config.hidden_size
        self.score = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))
        self.post_init()


def _end(ids: list[int], padding: int | None) -> int:
    """The last token that is not padding: trained with it as end of turn, models read before it."""
    kept = (place for place in reversed(range(len(ids))) if ids[place] != padding)
    return next(kept, 0)


def _ends(model: Any, batch: Sequence[Encoded]) -> Tensor:
    padding = model.config.get_text_config().pad_token_id
    ends = [_end(each.input_ids, padding) for each in batch]
    return torch.tensor(ends, device=model.device)


def _one_wide(scores: Tensor, batch: Sequence[Encoded]) -> Tensor:
    """Of several labels each library takes another one for the reward."""
    if scores.numel() != len(batch):
        raise ValueError(f"scores of shape {tuple(scores.shape)}, one per answer was expected")
    return scores.reshape(-1)


def _last_token(model: Any, inputs: dict[str, Tensor], batch: Sequence[Encoded]) -> Tensor:
    inputs.pop("token_type_ids", None)
    hidden = model.base_model(**inputs).last_hidden_state
    rows = torch.arange(len(batch), device=hidden.device)
    head = next(model.score.parameters()).dtype
    return _one_wide(model.score(hidden[rows, _ends(model, batch)].to(head)), batch)


def _gated(model: Any, inputs: dict[str, Tensor], batch: Sequence[Encoded]) -> Tensor:
    gates = torch.tensor([each.gate for each in batch], device=model.device)
    return model(inputs["input_ids"], inputs["attention_mask"], gates, _ends(model, batch))


def _own(model: Any, inputs: dict[str, Tensor], batch: Sequence[Encoded]) -> Tensor:
    sparse = next((each for each in model.modules() if hasattr(each, "set_attention_type")), None)
    if sparse is not None:  # BigBird: one short text switches it to full attention for good
        sparse.set_attention_type(model.config.attention_type)
    output = model(**inputs)
    scores = getattr(output, "score", None)  # some classes of their own keep several logits
    return _one_wide(output.logits if scores is None else scores, batch)


def readout(model: Any) -> Readout:
    """Chooses, and keeps the head of a decoder in float32, as vLLM does: a logit of 23 has steps
    of 0.125 in bfloat16.
    """
    if isinstance(model, LlamaForRewardModelWithGating):
        model.float_head()
        return _gated
    if isinstance(getattr(model, "score", None), nn.Module):
        model.score.float()
        return _last_token
    return _own
