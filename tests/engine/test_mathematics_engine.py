"""A whole update by verl's engine, on one rank and on two, is the one that float64 computes.

Three PPO epochs of a tiny model with an early stop, in real workers (tests/engine_child.py), beside
the same model in float64 with the loss written out: log-probabilities, entropy, loss, gradient norm
and KL of every mini batch, the mini batch at which it stops, and the policy that comes out.
"""

import json
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from tests import reference_ppo as paper
from tests.ppo_batches import CLOSE
from tests.reference_ppo import Rows

pytestmark = pytest.mark.slow

ROWS, MINI, EPOCHS = 8, 4, 3
LR, CLIP, DUAL, ENTROPY_COEF = 2e-3, 0.2, 3.0, 0.01
WORDS = ("--lr", str(LR), "--ppo_epochs", str(EPOCHS), "--clip_ratio", str(CLIP),
         "--entropy_coef", str(ENTROPY_COEF), "--batch_size", str(ROWS),
         "--mini_batch_size", str(MINI), "actor_rollout_ref.actor.shuffle=false")  # fmt: skip
ROOT = Path(__file__).parents[2]


def make_rows() -> dict[str, list[list[Any]]]:
    random = np.random.default_rng(7)
    lengths = random.integers(3, 12, ROWS)
    mask = [(random.random(n) < 0.8).astype(int) for n in lengths]
    for row in mask:
        row[[0, -1]] = 1
    return {
        "prompts": [random.integers(3, 250, n).tolist() for n in random.integers(2, 7, ROWS)],
        "responses": [random.integers(3, 250, n).tolist() for n in lengths],
        "response_mask": [row.tolist() for row in mask],
        "advantages": [random.standard_normal(n).tolist() for n in lengths],
    }


class Float64:
    """The same policy, trained by the loss as the papers write it."""

    def __init__(self, folder: Path, rows: dict[str, list[list[Any]]]) -> None:
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
        self.rows = rows
        self.kept = [np.array(row) for row in rows["response_mask"]]
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=LR, weight_decay=0.01)

    def logits(self, i: int) -> torch.Tensor:
        """(response, vocabulary): what each token of response i was drawn from."""
        prompt, response = self.rows["prompts"][i], self.rows["responses"][i]
        every = self.model(torch.tensor([prompt + response])).logits[0]
        return every[len(prompt) - 1 : -1]

    def chosen(self, log_probs: torch.Tensor, i: int) -> torch.Tensor:
        return log_probs.gather(-1, torch.tensor(self.rows["responses"][i])[:, None])[:, 0]

    @torch.no_grad()
    def all_log_probs(self) -> Rows:
        return [self.chosen(self.logits(i).log_softmax(-1), i).numpy() for i in range(ROWS)]

    @torch.no_grad()
    def all_entropies(self) -> Rows:
        tokens = [self.logits(i).numpy() for i in range(ROWS)]
        return [np.array([paper.entropy(token, 1.0) for token in row]) for row in tokens]

    def step(self, old: Rows, index: list[int]) -> tuple[float, float]:
        """One optimizer step on these rows: its loss and its gradient norm."""
        terms = []
        for i in index:
            every = self.logits(i).log_softmax(-1)
            new, entropies = self.chosen(every, i), -(every.exp() * every).sum(-1)
            for t in np.flatnonzero(self.kept[i]):
                ratio = (new[t] - old[i][t]).exp()
                a = self.rows["advantages"][i][t]
                objective = torch.minimum(ratio * a, ratio.clamp(1 - CLIP, 1 + CLIP) * a)
                if a < 0:
                    objective = objective.clamp(min=DUAL * a)
                terms.append(-objective - ENTROPY_COEF * entropies[t])
        loss = torch.stack(terms).mean()
        self.optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return loss.item(), norm.item()


@dataclass
class Trained:
    """The policy before each mini batch and after the last; of each mini batch the rest."""

    policies: list[Rows]
    kls: list[float]
    losses: list[float]
    norms: list[float]
    entropies: Rows  # of the first policy


def train(folder: Path) -> Trained:
    policy = Float64(folder, make_rows())
    done = Trained([policy.all_log_probs()], [], [], [], policy.all_entropies())
    for _ in range(EPOCHS):
        for first in range(0, ROWS, MINI):
            index = list(range(first, first + MINI))
            columns = done.policies[-1], done.policies[0], policy.kept
            done.kls.append(paper.kl_of_update(*([c[i] for i in index] for c in columns)))
            loss, norm = policy.step(done.policies[0], index)
            done.losses.append(loss)
            done.norms.append(norm)
            done.policies.append(policy.all_log_probs())
    return done


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def dealt(rank: int, ranks: int) -> list[int]:
    """The rows of a rank, such that every mini batch is the same whatever their number."""
    share = MINI // ranks
    return [m + rank * share + i for m in range(0, ROWS, MINI) for i in range(share)]


def by_verl(folder: Path, ranks: int, words: tuple[str, ...], limit: float) -> list[Any]:
    """What each rank says."""
    children, port = [], free_port()
    for rank in range(ranks):
        mine = dealt(rank, ranks)
        rows = {name: [column[i] for i in mine] for name, column in make_rows().items()}
        job = {"model": str(folder), "rank": rank, "ranks": ranks, "port": port, "rows": rows,
               "argv": [*WORDS, "--n_gpus", str(ranks), *words], "stop_kl": limit}  # fmt: skip
        command = [sys.executable, "-m", "tests.engine_child", json.dumps(job)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        children.append(subprocess.Popen(command, cwd=ROOT, **pipes))  # type: ignore[call-overload]
    told = [child.communicate(timeout=300) for child in children]
    assert [child.returncode for child in children] == [0] * ranks, told[0][1][-3000:]
    return [json.loads(out.splitlines()[-1]) for out, _ in told]


@pytest.fixture(scope="module")
def noisy_llama(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With dropout, which training leaves out: float64 computes without."""
    folder = shutil.copytree(tiny_llama, tmp_path_factory.mktemp("noisy") / "llama")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "attention_dropout": 0.3}))
    return folder


@pytest.fixture(scope="module")
def exact(noisy_llama: Path) -> Trained:
    return train(noisy_llama)


def limit_between(kls: list[float]) -> float:
    """A limit that the fourth mini batch is the first to pass, in the second epoch."""
    assert kls[0] < 1e-12 and max(kls[:3]) < 0.9 * kls[3]
    return (max(kls[:3]) + kls[3]) / 2


@pytest.mark.parametrize(
    ("ranks", "words"),
    [(1, ("actor_rollout_ref.actor.ppo_max_token_len_per_gpu=1024",)),
     (1, ("actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=1",)),
     (2, ("actor_rollout_ref.actor.ppo_max_token_len_per_gpu=24",))],
    ids=["one rank, all tokens at once", "one rank, rows one by one", "two ranks, cut by tokens"],
)  # fmt: skip
def test_an_update_with_an_early_stop_is_the_one_of_float64(
    exact: Trained, noisy_llama: Path, ranks: int, words: tuple[str, ...]
) -> None:
    limit = limit_between(exact.kls)
    stop = paper.first_above(exact.kls, limit)
    assert stop == 3
    told = by_verl(noisy_llama, ranks, words, limit)
    for rank, one in enumerate(told):
        for row, i in enumerate(dealt(rank, ranks)):
            before, after = (one[when]["log_probs"][row] for when in ("before", "after"))
            np.testing.assert_allclose(before, exact.policies[0][i], **CLOSE)
            np.testing.assert_allclose(after, exact.policies[stop][i], atol=1e-3)
            np.testing.assert_allclose(one["before"]["entropy"][row], exact.entropies[i], **CLOSE)
        assert one["kls"] == told[0]["kls"]  # to the last bit
        np.testing.assert_allclose(one["kls"], exact.kls[: stop + 1], **CLOSE)
        metrics = one["metrics"]
        np.testing.assert_allclose(metrics["loss"], exact.losses[: stop + 1], **CLOSE)
        np.testing.assert_allclose(metrics["grad_norm"], exact.norms[:stop], rtol=1e-3)
        np.testing.assert_allclose(metrics["grad_norm"][0], exact.norms[0], **CLOSE)
        assert metrics["updates"] == [3.0] and metrics["stop_epoch"] == [2.0]
        np.testing.assert_allclose(metrics["approx_kl"], [max(exact.kls[: stop + 1])], **CLOSE)
        assert len(metrics["lr"]) == 1  # the schedule went on, once
