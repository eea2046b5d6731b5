"""The settings that decide about memory: their keys, and how far each may go, as plain values.

    smaller(True, 4712, 1024)   ->  [2356, 1178, 1024]
    more_offload("none")        ->  ("optimizer", "all")

Said once for --fit auto (knobs.py), the guard that names what would do (guards/memory_needed.py),
and the advice after a run that died (launch/failures/ways_out.py). Left out on purpose: how much
each saves, which the estimate says.
"""

from verlaunch.config.batch import ACTOR_MICRO, divisors
from verlaunch.config.tree import ACTOR, ROLLOUT

MICRO = ACTOR_MICRO
TOKENS = f"{ACTOR}.ppo_max_token_len_per_gpu"
UTILIZATION = f"{ROLLOUT}.gpu_memory_utilization"
TP = f"{ROLLOUT}.tensor_model_parallel_size"
CRITIC_TOKENS = "critic.ppo_infer_max_token_len_per_gpu"
OFFLOAD = "verlaunch.offload"
KV_CACHE = f"{ROLLOUT}.engine_kwargs.vllm.kv_cache_memory_bytes"
CHECKPOINTING = {
    "actor_rollout_ref.model.enable_gradient_checkpointing": "checkpointing",
    "critic.model.enable_gradient_checkpointing": "critic_checkpointing",
}
OFFLOADS = ("none", "optimizer", "all")  # what waits in main memory
LORA_RANK = 32  # what is named where not all weights can be trained


def smaller(packed: bool, now: int, length: int) -> list[int]:
    """Of a micro batch, the largest first: tokens, down to one sequence of full length (verl takes
    no less: utils/seqlen_balancing.py:384); or responses, of which a number has to divide."""
    return halvings(now, length) if packed else divisors(now)[-2::-1]


def offload_of(optimizer: bool, weights: bool) -> str:
    return OFFLOADS[2 if weights else int(optimizer)]


def more_offload(now: str) -> tuple[str, ...]:
    return OFFLOADS[OFFLOADS.index(now) + 1 :]


def less_offload(now: str) -> tuple[str, ...]:
    """The next one first."""
    return OFFLOADS[: OFFLOADS.index(now)][::-1]


def halvings(size: int, least: int) -> list[int]:
    """halvings(4712, 1024)  ->  [2356, 1178, 1024]"""
    found = []
    while size > least:
        size = max(least, size // 2)
        found.append(size)
    return found
