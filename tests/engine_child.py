"""One rank of verl's actor in a process of its own: our worker, verl's loop, FSDP over gloo.

    python -m tests.engine_child '{"model": "...", "rank": 0, "ranks": 2, "port": 29500,
        "argv": ["--ppo_epochs", "3"], "rows": {...}, "stop_kl": 0.01}'

Rows are lists of numbers: prompts, responses, response_mask, advantages. One line of JSON comes
back: log-probabilities and entropies of the responses before the update and after it, the KL of
every mini batch that was measured, and the update's metrics.
"""

import json
import os
import sys
from typing import Any

FLOATS = ("advantages", "old_log_probs")


def nested(rows: list[list[float]], dtype: Any) -> Any:
    import torch

    parts = [torch.tensor(row, dtype=dtype) for row in rows]
    return torch.nested.as_nested_tensor(parts, layout=torch.jagged)


def batch_of(rows: dict[str, list[list[float]]], **settings: Any) -> Any:
    """What the trainer hands to a worker (trainer/ppo/v1/agent_loop_tq.py:186-201)."""
    import torch
    from tensordict import TensorDict
    from verl.utils import tensordict_utils as tu

    whole = [p + r for p, r in zip(rows["prompts"], rows["responses"], strict=True)]
    columns = {
        **rows,
        "input_ids": whole,
        "position_ids": [list(range(len(row))) for row in whole],
        "loss_mask": rows["response_mask"],
    }
    kinds = {name: torch.float32 if name in FLOATS else torch.int64 for name in columns}
    tensors = {name: nested(column, kinds[name]) for name, column in columns.items()}
    data = TensorDict(tensors, batch_size=len(whole))
    tu.assign_non_tensor(data, temperature=1.0, **settings)
    return data


def look(worker: Any, rows: dict[str, Any]) -> dict[str, list[list[float]]]:
    """Log-probabilities and entropies of the responses."""
    from verl.workers.utils.padding import response_from_nested

    data = batch_of(rows, calculate_entropy=True, compute_loss=False)
    found = worker.compute_log_prob(data)
    mask = data["response_mask"]
    names = ("log_probs", "entropy")
    return {
        n: [row.tolist() for row in response_from_nested(found[n], mask).unbind()] for n in names
    }


def update(worker: Any, rows: dict[str, Any], job: dict[str, Any], config: Any) -> dict[str, Any]:
    """As the trainer calls it (trainer/ppo/v1/trainer_base.py:1827-1860)."""
    from verl.utils import tensordict_utils as tu

    actor = config.actor_rollout_ref.actor
    data = batch_of(
        rows,
        calculate_entropy=True,
        global_batch_size=actor.ppo_mini_batch_size,
        mini_batch_size=actor.ppo_mini_batch_size,
        epochs=actor.ppo_epochs,
        seed=actor.data_loader_seed,
        dataloader_kwargs={"shuffle": actor.shuffle},
        stop_kl=job["stop_kl"],
    )
    return tu.get(worker.update_actor(data), key="metrics")


def main(job: dict[str, Any]) -> None:
    os.environ.update(
        VERL_PLATFORM="cpu",
        RANK=str(job["rank"]),
        WORLD_SIZE=str(job["ranks"]),
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(job["port"]),
        GLOO_SOCKET_IFNAME="lo",
    )
    import torch

    from tests.ppo_batches import configured
    from verlaunch.engine.training import workers

    torch.set_num_threads(1)
    kept: list[workers.Updates] = []

    class Kept(workers.Updates):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            kept.append(self)

    workers.Updates = Kept  # type: ignore[misc]
    config = configured("--model", job["model"], *job["argv"])
    worker = workers.ActorRolloutRef(config.actor_rollout_ref, role="actor")
    worker.init_model()
    before = look(worker, job["rows"])
    rows = {**job["rows"], "old_log_probs": before["log_probs"]}
    metrics = update(worker, rows, job, config)
    after = look(worker, job["rows"])
    told = {"before": before, "after": after, "kls": kept[0].seen, "metrics": metrics}
    print(json.dumps(told, default=float), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
