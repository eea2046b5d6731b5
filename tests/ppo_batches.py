"""Random batches for the tests of the mathematics, and verl's functions called with them.

    batch = Batch(seed=3, holes=True)
    policy_loss(batch, ("--clip_ratio", "0.1"))  ->  loss, metrics, gradient by log-probability

verl gets the rows in fp32, nested where its engine passes them nested, with the dataclasses that
our command line ends in.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from hypothesis import Phase, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from tensordict import TensorDict

from tests.reference_ppo import Rows
from verlaunch.config.compose import compose, fill
from verlaunch.config.derive import Facts, derive
from verlaunch.config.flags import parse

CLOSE: dict[str, float] = {"rtol": 1e-5, "atol": 1e-5}
seeds = st.integers(0, 2**32 - 1)
many = settings(max_examples=10, phases=[Phase.generate])  # a smaller seed explains nothing


@cache
def configured(*argv: str) -> Any:
    """The tree that verl gets for a command line."""
    config = compose(parse(argv, {}), "cpu")
    facts = Facts("cpu", 2, 24.0, 4096, 260, "a-model", "run", "/checkpoints")
    return OmegaConf.create(fill(config, derive(config.verl, facts)).verl)


@cache
def dataclass_of(section: str, *argv: str) -> Any:
    from verl.utils.config import omega_conf_to_dataclass

    tree = OmegaConf.select(configured(*argv), section)
    without_model = [key for key in tree if key != "model"]  # it would be loaded
    return omega_conf_to_dataclass(OmegaConf.masked_copy(tree, without_model))


class Batch:
    """Random ragged rows of everything that PPO computes with; float64, exact in fp32."""

    def __init__(self, seed: int, rows: int = 6, longest: int = 12, holes: bool = False) -> None:
        self.random = np.random.default_rng(seed)
        self.lengths = self.random.integers(1, longest + 1, rows)
        self.lengths[0] = longest  # never a batch of one token in all
        self.prompts = self.random.integers(1, 5, rows)
        share = 0.7 if holes else 1.1  # tokens that a tool wrote are not the model's
        self.kept = [(self.random.random(n) < share).astype(float) for n in self.lengths]
        for row in self.kept:
            row[[0, -1]] = 1
        self.log_old = self.rows(lambda n: -self.random.exponential(1.5, n))
        self.log_new = self.near(self.log_old, 0.4)
        self.log_ref = self.near(self.log_old, 0.4)
        self.values = self.rows(self.random.standard_normal)
        self.new_values = self.near(self.values, 0.6)
        self.scores = self.rows(np.zeros)
        for row in self.scores:
            row[-1] = self.random.standard_normal()
        self.advantages = self.rows(self.random.standard_normal)
        self.returns = self.rows(self.random.standard_normal)

    def rows(self, make: Callable[[int], np.ndarray]) -> Rows:
        return [make(n).astype(np.float32).astype(np.float64) for n in self.lengths]

    def near(self, rows: Rows, spread: float) -> Rows:
        moved = [row + spread * self.random.standard_normal(len(row)) for row in rows]
        return [row.astype(np.float32).astype(np.float64) for row in moved]

    @property
    def order(self) -> range:
        return range(len(self.lengths))

    def of_model(self, rows: Rows, index: list[int]) -> torch.Tensor:
        """As the engine's forward pass gives it: prompt and response, shifted by one token."""
        parts = []
        for i in index:
            whole = np.concatenate([np.full(self.prompts[i] - 1, 7.0), rows[i], [7.0]])
            parts.append(torch.tensor(whole, dtype=torch.float32))
        return torch.nested.as_nested_tensor(parts, layout=torch.jagged)


def nested(rows: Rows, index: Any, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    parts = [torch.tensor(rows[i], dtype=dtype) for i in index]
    return torch.nested.as_nested_tensor(parts, layout=torch.jagged)


def micro_batch(batch: Batch, index: list[int]) -> TensorDict:
    """These rows of a mini batch of all rows, as the engine hands them to the loss."""
    from verl.utils import tensordict_utils as tu

    ids = [np.ones(n) for n in batch.prompts], [np.ones(n) for n in batch.lengths]
    data = TensorDict(
        {
            "prompts": nested(ids[0], index, torch.int64),
            "responses": nested(ids[1], index, torch.int64),
            "response_mask": nested(batch.kept, index, torch.int64),
            "old_log_probs": nested(batch.log_old, index),
            "ref_log_prob": nested(batch.log_ref, index),
            "advantages": nested(batch.advantages, index),
            "values": nested(batch.values, index),
            "returns": nested(batch.returns, index),
        },
        batch_size=len(index),
    )
    tokens = int(sum(row.sum() for row in batch.kept))
    tu.assign_non_tensor(
        data, dp_size=1, batch_num_tokens=tokens, global_batch_size=len(batch.order)
    )
    return data


def policy_loss(
    batch: Batch, argv: tuple[str, ...] = (), parts: list[list[int]] | None = None
) -> tuple[float, dict[str, float], torch.Tensor]:
    """Over all micro batches: loss, metrics, and the gradient by each log-probability, of the rows
    in order."""
    from verl.workers.utils.losses import ppo_loss

    config = dataclass_of("actor_rollout_ref.actor", *argv)
    loss, metrics, gradients = 0.0, {}, {}
    for index in parts or [list(batch.order)]:
        log_probs = batch.of_model(batch.log_new, index).requires_grad_()
        part, told = ppo_loss(config, {"log_probs": log_probs}, micro_batch(batch, index))
        part.backward()
        loss += part.item()
        sums = {name: value.aggregate() for name, value in told.items() if hasattr(value, "values")}
        metrics = {name: metrics.get(name, 0.0) + value for name, value in sums.items()}
        gradients |= dict(zip(index, log_probs.grad.unbind(), strict=True))
    return loss, metrics, torch.cat([gradients[i] for i in batch.order])


def critic_loss(
    batch: Batch, loss: Any, parts: list[list[int]] | None = None
) -> tuple[float, float, torch.Tensor]:
    """Over all micro batches: loss, critic/vf_loss, and the gradient by each value."""
    total, told, gradients = 0.0, 0.0, {}
    for index in parts or [list(batch.order)]:
        values = batch.of_model(batch.new_values, index).requires_grad_()
        part, metrics = loss(model_output={"values": values}, data=micro_batch(batch, index))
        part.backward()
        total, told = total + part.item(), told + metrics["critic/vf_loss"].aggregate()
        gradients |= dict(zip(index, values.grad.unbind(), strict=True))
    return total, told, torch.cat([gradients[i] for i in batch.order])


def proto(batch: Batch) -> Any:
    """Padded rows of the whole batch, as the trainer has them when it computes advantages."""
    from verl.protocol import DataProto

    fields = {
        "response_mask": nested(batch.kept, batch.order, torch.int64),
        "token_level_scores": nested(batch.scores, batch.order),
        "old_log_probs": nested(batch.log_old, batch.order),
        "ref_log_prob": nested(batch.log_ref, batch.order),
        "values": nested(batch.values, batch.order),
    }
    return DataProto(batch=TensorDict(fields, len(batch.order)).to_padded_tensor())


def tokens(padded: torch.Tensor, batch: Batch) -> np.ndarray:
    return padded[proto(batch).batch["response_mask"].bool()].double().numpy()


def flat(rows: Rows, batch: Batch) -> np.ndarray:
    return np.concatenate([row[own == 1] for row, own in zip(rows, batch.kept, strict=True)])
