"""Fills what the configuration leaves open (null): sizes, lengths, processes, steps.

A value that the user gave is never changed. Each rule reads the values before it, so the order of
`RULES` is the order of the reasoning.

    derive(verl, Facts(hardware="cpu", train_rows=4096, ...))["data.train_batch_size"]  ->  128
"""

from collections.abc import Callable, Collection
from copy import deepcopy
from dataclasses import dataclass
from math import ceil
from typing import Any

from verlaunch.config.batch import default_mini
from verlaunch.config.tree import (
    ACTOR,
    REF,
    ROLLOUT,
    STOP_IDS,
    Tree,
    get,
    put,
    ranks,
    ranks_here,
    sequence_length,
)
from verlaunch.text import GIB, MIB

MOST_STEPS = 8  # optimizer steps that a batch is cut into where nobody said
EPOCHS, STEPS = "trainer.total_epochs", "trainer.total_training_steps"


@dataclass(frozen=True)
class Facts:
    """What the rules need to know about the run. Memory is of one GPU, or of the machine.

    rows_exact: False while only part of the data has been seen; there may be more rows then.
    """

    hardware: str
    cores: int
    memory_gib: float
    train_rows: int
    vocab_size: int
    model: str
    run_name: str
    checkpoints: str
    rows_exact: bool = True
    cached_values: int = 0  # see models.Model
    turn_end: int | None = None  # a token that ends a response beside the model's own ends


def _train_batch(tree: Tree, facts: Facts) -> int:
    wanted = 256 if facts.hardware == "gpu" else 128
    world = ranks(tree)
    rows = min(wanted, facts.train_rows) if facts.rows_exact else wanted
    return max(world, rows // world * world)


def _mini_batch(tree: Tree, facts: Facts) -> int:
    prompts = get(tree, "data.train_batch_size")
    half = default_mini(prompts, get(tree, f"{ROLLOUT}.n"), ranks(tree), max(1, prompts // 2))
    return half if half * MOST_STEPS >= prompts else prompts  # 29 prompts: not 29 steps of one


def _tokens_that_fit(tree: Tree, facts: Facts) -> int:
    """A tenth of a rank's memory: fp32 logits, their softmax and its gradient per token."""
    bytes_per_token = facts.vocab_size * 12
    sharing = ranks_here(tree) if facts.hardware == "cpu" else 1
    fitting = int(facts.memory_gib * GIB / 10 / bytes_per_token / sharing)
    return max(sequence_length(tree), min(16384, fitting))


def _uses_token_budget(tree: Tree, facts: Facts) -> bool:
    fixed = [
        f"{ACTOR}.ppo_micro_batch_size_per_gpu",
        f"{ROLLOUT}.log_prob_micro_batch_size_per_gpu",
        f"{REF}.log_prob_micro_batch_size_per_gpu",
        "critic.ppo_micro_batch_size_per_gpu",
    ]
    return not any(get(tree, key) for key in fixed)


def _micro_batch(tree: Tree, facts: Facts) -> int | None:
    """Without a token budget verl needs every micro batch: those not given take what fits."""
    if get(tree, f"{ACTOR}.use_dynamic_bsz"):
        return None
    per_rank = get(tree, f"{ACTOR}.ppo_mini_batch_size") * get(tree, f"{ROLLOUT}.n") // ranks(tree)
    fitting = max(1, _tokens_that_fit(tree, facts) // sequence_length(tree))
    return max(d for d in range(1, max(1, per_rank) + 1) if per_rank % d == 0 and d <= fitting)


def _kl_in_reward(tree: Tree, facts: Facts) -> bool:
    wanted = get(tree, "algorithm.kl_ctrl.kl_coef") or 0
    return wanted > 0 and not get(tree, f"{ACTOR}.use_kl_loss")


def _kl_controller(tree: Tree, facts: Facts) -> str:
    return "adaptive" if get(tree, "algorithm.kl_ctrl.target_kl") else "fixed"


def steps_per_epoch(tree: Tree, facts: Facts) -> int:
    return max(1, facts.train_rows // get(tree, "data.train_batch_size"))


def _total_steps(tree: Tree, facts: Facts) -> int:
    """The epochs' own, or fewer where both were given."""
    most = steps_per_epoch(tree, facts) * get(tree, EPOCHS)
    return min(most, get(tree, STEPS) or most)


def _test_freq(tree: Tree, facts: Facts) -> int:
    """A divisor of a given save_freq: the best checkpoint is one that was validated."""
    wanted = max(1, min(20, ceil(get(tree, "trainer.total_training_steps") / 8)))
    saves = get(tree, "trainer.save_freq") or 0
    return wanted if saves < 1 else max(d for d in range(1, wanted + 1) if saves % d == 0)


def _save_freq(tree: Tree, facts: Facts) -> int:
    wanted = max(1, min(50, ceil(get(tree, "trainer.total_training_steps") / 4)))
    tests = max(1, get(tree, "trainer.test_freq"))
    return ceil(wanted / tests) * tests


def _agent_workers(tree: Tree, facts: Facts) -> int:
    return max(1, min(8, facts.cores // 8))


def _sequences_in_flight(tree: Tree, facts: Facts) -> int:
    wanted = get(tree, "data.train_batch_size") * get(tree, f"{ROLLOUT}.n") // ranks(tree)
    return max(256, min(1024, wanted)) if facts.hardware == "gpu" else 256


def _tokens_in_flight(tree: Tree, facts: Facts) -> int:
    return max(8192, get(tree, f"{ROLLOUT}.max_model_len"))


def _kv_cache_bytes(tree: Tree, facts: Facts) -> int | None:
    """On the CPU: fp32 keys and values of all sequences in flight, within a tenth of the memory.

    vLLM fills what it is given at the start; its own default takes half of the machine. One whole
    sequence must fit. On GPUs gpu_memory_utilization decides.
    """
    if facts.hardware == "gpu":
        return None
    sequence = get(tree, f"{ROLLOUT}.max_model_len") * facts.cached_values * 4
    wanted = sequence * get(tree, f"{ROLLOUT}.max_num_seqs")
    room = int(facts.memory_gib * GIB / 10 / ranks_here(tree))
    return max(64 * MIB, 2 * sequence, min(wanted, room))


RULES: list[tuple[str, Callable[[Tree, Facts], Any]]] = [
    ("actor_rollout_ref.model.path", lambda tree, facts: facts.model),
    ("data.train_batch_size", _train_batch),
    (f"{ACTOR}.ppo_mini_batch_size", _mini_batch),
    (f"{ACTOR}.use_dynamic_bsz", _uses_token_budget),
    (f"{ACTOR}.ppo_max_token_len_per_gpu", _tokens_that_fit),
    (f"{ACTOR}.ppo_micro_batch_size_per_gpu", _micro_batch),
    (f"{ROLLOUT}.max_model_len", lambda tree, facts: sequence_length(tree)),
    (f"{ROLLOUT}.max_num_seqs", _sequences_in_flight),
    (f"{ROLLOUT}.max_num_batched_tokens", _tokens_in_flight),
    (f"{ROLLOUT}.engine_kwargs.vllm.kv_cache_memory_bytes", _kv_cache_bytes),
    (f"{ROLLOUT}.agent.num_workers", _agent_workers),
    ("algorithm.use_kl_in_reward", _kl_in_reward),
    ("algorithm.kl_ctrl.type", _kl_controller),
    (STEPS, _total_steps),
    ("trainer.test_freq", _test_freq),
    ("trainer.save_freq", _save_freq),
    ("trainer.experiment_name", lambda tree, facts: facts.run_name),
    ("trainer.default_local_dir", lambda tree, facts: facts.checkpoints),
]


def derive(verl: Tree, facts: Facts, given: Collection[str] = ()) -> dict[str, Any]:
    """Dotted key -> value for every open key, and for what verl ties together without checking.

    given: keys that somebody typed: epochs among them end a run before its steps do.
    Keys that follow another (`${...}` in our YAML) are not here: `compose.fill` moves them along.
    """
    tree = deepcopy(verl)
    found = {}
    for key, rule in RULES:
        if get(tree, key) is None or (key == STEPS and EPOCHS in given):
            found[key] = rule(tree, facts)
            put(tree, key, found[key])
    # verl's loop ends at whichever of epochs and steps comes first, and saves at neither when it is
    # the epochs (trainer/ppo/v1/trainer_base.py:467): the steps decide, the epochs follow.
    steps = get(tree, "trainer.total_training_steps")
    epochs = ceil(steps / steps_per_epoch(tree, facts))
    found["trainer.total_epochs"] = max(get(tree, "trainer.total_epochs"), epochs)
    if facts.turn_end is not None and get(tree, STOP_IDS) is None:
        found[STOP_IDS] = [facts.turn_end]
    if facts.hardware == "cpu" and get(tree, f"{ROLLOUT}.tensor_model_parallel_size") > 1:
        # A replica of several ranks cannot keep its worker inside EngineCore.
        found[f"{ROLLOUT}.engine_kwargs.vllm.distributed_executor_backend"] = "mp"
    return found
