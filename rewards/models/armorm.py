"""ArmoRM (RLHFlow/ArmoRM-Llama3-8B-v0.1, arXiv 2406.12845): 19 objectives, mixed by the prompt.

    score = sum over objectives of gate(prompt) * (objectives(answer) @ reward_transform_matrix)

The gate reads the hidden state where the last user turn ends, the objectives where the answer ends.
Written for the published weights and their names; the code beside them imports no longer. Left
out: training, and the single objectives as outputs.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import LlamaModel, LlamaPreTrainedModel

OBJECTIVES, TEMPERATURE, WIDTH, HIDDEN_LAYERS = 19, 10.0, 1024, 3  # where config.json is silent


class Gate(nn.Module):
    """An MLP whose softmax weighs the objectives."""

    def __init__(self, config: Any, objectives: int) -> None:
        super().__init__()
        width = getattr(config, "gating_hidden_dim", WIDTH)
        hidden = getattr(config, "gating_n_hidden", HIDDEN_LAYERS)
        sizes = [config.hidden_size, *[width] * hidden, objectives]
        self.temperature = getattr(config, "gating_temperature", TEMPERATURE)
        self.logit_scale = nn.Parameter(torch.ones(1))
        self.layers = nn.ModuleList(map(nn.Linear, sizes, sizes[1:]))

    def forward(self, hidden: Tensor) -> Tensor:
        """(batch, hidden) -> (batch, objectives), which sum to logit_scale."""
        *inner, last = self.layers
        for layer in inner:
            hidden = torch.relu(layer(hidden))
        return torch.softmax(last(hidden) / self.temperature, dim=-1) * self.logit_scale


class LlamaForRewardModelWithGating(LlamaPreTrainedModel):
    def __init__(self, config: Any) -> None:
        super().__init__(config)
        objectives = getattr(config, "num_objectives", OBJECTIVES)
        self.model = LlamaModel(config)
        self.regression_layer = nn.Linear(config.hidden_size, objectives, bias=False)
        self.reward_transform_matrix = nn.Parameter(torch.eye(objectives))
        self.gating = Gate(config, objectives)
        self.post_init()

    def float_head(self) -> None:
        """Keeps the head in float32 on a body in bfloat16, which has 3 digits."""
        self.regression_layer.float()
        self.gating.float()
        self.reward_transform_matrix.data = self.reward_transform_matrix.data.float()

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, gates: Tensor, ends: Tensor
    ) -> Tensor:
        """gates, ends: (batch,), the two places that are read. Scores: (batch,)."""
        hidden = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        rows = torch.arange(len(hidden), device=hidden.device)
        dtype = self.regression_layer.weight.dtype
        objectives = self.regression_layer(hidden[rows, ends].to(dtype))
        weights = self.gating(hidden[rows, gates].to(dtype))
        return (weights * (objectives @ self.reward_transform_matrix)).sum(-1)
