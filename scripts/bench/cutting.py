#!/usr/bin/env python3
"""An update of ragged rows: our micro batches beside verl's, in one process and in turn.

    .venv/bin/python scripts/bench/cutting.py                    # 10.7 M parameters, on the CPU
    .venv/bin/python scripts/bench/cutting.py --model demo --budget 2048

One rank of the actor as a run has it (worker, engine, FSDP, loss), with responses that are all
equal, uniform from 8 tokens to the limit, or log-normal with a mean of a quarter of it, as real
answers are. "padded" is what is computed, as a share of the tokens there are; "memory" the peak of
the process above what it held before. Losses and gradient norms are compared too: `agree`.
"""

import argparse
import ctypes
import gc
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from contest import Table, in_turn, machine, median, versions, write_json
from gpu_check.models import write_model
from gpu_check.sizes import SIZES

from verlaunch.engine.environment import ALLOCATOR

PROMPT, SEED = 16, 5
HEADINGS = ("rows", "cut", "micro batches", "padded", "s", "memory, MiB", "agree")
ALONE = {
    "VERL_PLATFORM": "cpu", "RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "0", "GLOO_SOCKET_IFNAME": "lo",
}  # fmt: skip


def lengths(kind: str, rows: int, limit: int) -> list[int]:
    """Tokens of each response."""
    import numpy as np

    random = np.random.default_rng(SEED)
    if kind == "equal":
        return [limit // 4] * rows
    if kind == "uniform":
        return random.integers(8, limit + 1, rows).tolist()
    drawn = random.lognormal(0, 0.8, rows)
    return np.clip(drawn / drawn.mean() * limit / 4, 4, limit).astype(int).tolist()


def batch(responses: list[int], vocabulary: int, **settings: Any) -> Any:
    """What the trainer hands to a worker (trainer/ppo/v1/agent_loop_tq.py:186-201)."""
    import torch
    from tensordict import TensorDict
    from verl.utils import tensordict_utils as tu

    made = torch.Generator().manual_seed(SEED)

    def ragged(parts: list[torch.Tensor]) -> torch.Tensor:
        return torch.nested.as_nested_tensor(parts, layout=torch.jagged)

    def drawn(shift: float) -> torch.Tensor:
        return ragged([torch.randn(n, generator=made) + shift for n in responses])

    ids = [torch.randint(3, vocabulary, (PROMPT + n,), generator=made) for n in responses]
    ones = [torch.ones(n, dtype=torch.long) for n in responses]
    data = TensorDict(
        {
            "input_ids": ragged(ids),
            "position_ids": ragged([torch.arange(len(row)) for row in ids]),
            "prompts": ragged([row[:PROMPT] for row in ids]),
            "responses": ragged([row[PROMPT:] for row in ids]),
            "response_mask": ragged(ones),
            "loss_mask": ragged(ones),
            "old_log_probs": drawn(-5),
            "advantages": drawn(0),
        },
        batch_size=len(ids),
    )
    tu.assign_non_tensor(data, temperature=1.0, **settings)
    return data


@contextmanager
def verls_cut() -> Iterator[None]:
    from verl.workers.engine.fsdp import transformer_impl
    from verl.workers.engine.utils import prepare_micro_batches

    ours = transformer_impl.prepare_micro_batches
    transformer_impl.prepare_micro_batches = prepare_micro_batches
    try:
        yield
    finally:
        transformer_impl.prepare_micro_batches = ours


def highest() -> int:
    """Bytes: the peak of this process since the last call of `forget`."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) << 10


def forget() -> None:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what was freed goes back, and is counted anew
    Path("/proc/self/clear_refs").write_text("5")


class Actor:
    """One rank, in this process."""

    def __init__(self, model: Path, args: argparse.Namespace) -> None:
        from omegaconf import OmegaConf

        from verlaunch.config.compose import compose, fill
        from verlaunch.config.derive import Facts, derive
        from verlaunch.config.flags import parse
        from verlaunch.engine.training.workers import ActorRolloutRef

        words = ("--model", str(model), "--batch_size", str(args.rows), "--lr", "1e-12",
                 "--max_prompt_length", str(PROMPT), "--max_response_length", str(args.limit),
                 f"actor_rollout_ref.actor.ppo_max_token_len_per_gpu={args.budget}")  # fmt: skip
        config = compose(parse(words, {}), "cpu")
        facts = Facts("cpu", os.cpu_count() or 1, 24.0, 4096, 260, "model", "run", "/checkpoints")
        tree = OmegaConf.create(fill(config, derive(config.verl, facts)).verl)
        self.worker = ActorRolloutRef(tree.actor_rollout_ref, role="actor")
        self.worker.init_model()
        self.rows, self.vocabulary = args.rows, self.worker.actor.engine.module.config.vocab_size

    def update(self, responses: list[int]) -> dict[str, Any]:
        from verl.utils import tensordict_utils as tu

        settings = {
            "global_batch_size": self.rows, "mini_batch_size": self.rows, "epochs": 1, "seed": 1,
            "dataloader_kwargs": {"shuffle": False}, "stop_kl": float("inf"),
        }  # fmt: skip
        data = batch(responses, self.vocabulary, calculate_entropy=True, **settings)
        engine, parts = self.worker.actor.engine, []
        step = engine.forward_step
        engine.forward_step = lambda part, *more, **named: (
            parts.append(part["input_ids"].offsets().diff()) or step(part, *more, **named)
        )
        forget()
        before, began = highest(), time.perf_counter()
        metrics = tu.get(self.worker.update_actor(data), "metrics")
        seconds, memory = time.perf_counter() - began, highest() - before
        engine.forward_step = step
        padded = sum(len(part) * part.max().item() for part in parts)
        real = sum(responses) + PROMPT * len(responses)
        told = (metrics["actor/pg_loss"], metrics["grad_norm"])
        numbers = [float(value[0] if isinstance(value, list) else value) for value in told]
        return {"s": seconds, "memory": memory, "count": len(parts), "padded": padded / real,
                "told": numbers}  # fmt: skip


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="10M", choices=list(SIZES))
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--limit", type=int, default=256, help="of a response, in tokens")
    parser.add_argument("--budget", type=int, default=4096, help="tokens per micro batch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def rows(kind: str, found: dict[str, list[dict[str, Any]]]) -> Iterator[list[Any]]:
    reference = found["verl"][0]["told"]
    for name, runs in found.items():
        one = runs[0]
        apart = max(abs(a / b - 1) for a, b in zip(one["told"], reference, strict=True))
        middle = {key: median([run[key] for run in runs]) for key in ("s", "memory")}
        padded = round(one["padded"], 2)
        yield [kind, name, one["count"], padded, middle["s"], middle["memory"] / 2**20, apart]


def main() -> None:
    args = parsed()
    os.environ.update(ALONE)
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        actor = Actor(write_model(Path(folder) / "model", SIZES[args.model]), args)
        cells: list[list[Any]] = []
        for kind in ("equal", "uniform", "log-normal"):
            responses = lengths(kind, args.rows, args.limit)

            def verl(responses: list[int] = responses) -> dict[str, Any]:
                with verls_cut():
                    return actor.update(responses)

            def ours(responses: list[int] = responses) -> dict[str, Any]:
                return actor.update(responses)

            cells += rows(kind, in_turn({"verl": verl, "ours": ours}, args.rounds))
    table = Table(HEADINGS, cells)
    print(table.text())
    write_json(args.json, table, versions=versions("torch", "verl", "transformers"))


if __name__ == "__main__":
    if ALLOCATOR.items() - os.environ.items():  # malloc reads them once, when a process starts
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ALLOCATOR})
    main()
