"""What is wrong with a configuration: before its numbers are worked out, and with the model.

    early_problems(config)  ->  ["data.train_batch_size=0: takes a whole number of at least 1."]
    fit_problems(config, model, gpus=1)  ->  ["--tp_size 3 must divide --n_gpus 8 ..."]

Flags check their own ranges; the first is for verl's keys, typed as key=value or written in a
recipe. Left out on purpose: how the batch sizes divide (batch.py).
"""

from pathlib import Path
from typing import Any

from verlaunch.config.derive import RULES
from verlaunch.config.tree import (
    ACTOR,
    REF,
    ROLLOUT,
    Config,
    get,
    ranks,
    ranks_here,
    sequence_length,
)
from verlaunch.inputs.models import Model
from verlaunch.plan.guards.algorithm import algorithm_problems
from verlaunch.plan.sizes import own_cards
from verlaunch.text import plural

SIZES = (
    "data.train_batch_size",
    "data.max_prompt_length",
    "data.max_response_length",
    f"{ACTOR}.ppo_mini_batch_size",
    f"{ACTOR}.ppo_micro_batch_size_per_gpu",
    f"{ACTOR}.ppo_max_token_len_per_gpu",
    f"{ACTOR}.ppo_epochs",
    f"{REF}.log_prob_micro_batch_size_per_gpu",
    f"{ROLLOUT}.log_prob_micro_batch_size_per_gpu",
    f"{ROLLOUT}.n",
    f"{ROLLOUT}.tensor_model_parallel_size",
    f"{ROLLOUT}.max_model_len",
    f"{ROLLOUT}.max_num_seqs",
    f"{ROLLOUT}.max_num_batched_tokens",
    f"{ROLLOUT}.agent.num_workers",
    "critic.ppo_mini_batch_size",
    "critic.ppo_micro_batch_size_per_gpu",
    "critic.ppo_epochs",
    "trainer.n_gpus_per_node",
    "trainer.nnodes",
    "trainer.total_epochs",
    "trainer.total_training_steps",
    "trainer.save_freq",
)
# Worked out when null, or they follow such a key.
OPEN = {key for key, _ in RULES} | {key for key in SIZES if "batch_size" in key}
# Paths that the launcher sets when it has prepared what they point to.
LAUNCHERS = {
    "data.train_files": "--data",
    "data.val_files": "--val_data",
    "trainer.default_local_dir": "--output_dir",
    "trainer.resume_mode": "--resume",
    "trainer.resume_from_path": "--resume",
}
# What vLLM's attention on the CPU computes (vllm/v1/attention/backends/cpu_attn.py:66).
CPU_HEAD_DIMS = (32, 64, 80, 96, 112, 128, 160, 192, 224, 256, 512)


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def early_problems(config: Config) -> list[str]:
    found = []
    for key in SIZES:
        value = get(config.verl, key)
        if not _is_size(value) and not (value is None and key in OPEN):
            shown = "null" if value is None else value
            found.append(f"{key}={shown}: takes a whole number of at least 1.")
    rank = config.launch["node_rank"]
    if rank > 0 and get(config.verl, "trainer.nnodes") == 1:
        found.append(
            f"--node_rank {rank}: this run has one machine. Of several, say how many there are: "
            "--nnodes N, the same on each. Of one, leave --node_rank out."
        )
    if rank > 0 and config.launch["ray_address"]:
        found.append(
            f"--node_rank {rank}: the machines of --ray_address are there already. Start the run "
            "once, on one of them, without --node_rank; --nnodes N says how many of them it takes."
        )
    typed = config.given | config.recipe_keys
    found += [
        f"{key} is set by the launcher. Use {flag}."
        for key, flag in LAUNCHERS.items()
        if key in typed
    ]
    if (name := config.launch["run_name"]) and Path(name).name != name:
        found.append(
            f"--run_name {name} is a path; it takes the name of a folder inside --output_dir "
            f"{config.launch['output_dir']}."
        )
    return found


def fit_problems(config: Config, model: Model, gpus: int) -> list[str]:
    verl = config.verl
    found = _card_problems(config, gpus)
    found += algorithm_problems(config)
    found += _replica_problems(verl, model)
    found += _length_problems(verl, model)
    if config.hardware == "cpu" and model.head_dim and model.head_dim not in CPU_HEAD_DIMS:
        found.append(
            f"{model.name} has attention heads of {model.head_dim}; on the CPU vLLM takes "
            f"{', '.join(map(str, CPU_HEAD_DIMS))}. Use another model, or a GPU."
        )
    estimator = get(verl, "algorithm.adv_estimator")
    if estimator in ("grpo", "rloo") and get(verl, f"{ROLLOUT}.n") < 2:
        found.append(
            f"--adv_estimator {estimator} compares responses to one prompt. Use --rollout_n 4."
        )
    packing = f"{ACTOR}.use_dynamic_bsz", f"{ROLLOUT}.log_prob_use_dynamic_bsz"
    if len({bool(get(verl, key)) for key in packing}) > 1:
        found.append(f"{packing[0]} and {packing[1]} must be the same. Leave the second one out.")
    return found


def _card_problems(config: Config, gpus: int) -> list[str]:
    """Cards of the trainer, and of a reward model beside it."""
    launch, here = config.launch, ranks_here(config.verl)
    asked, own, device = launch["rm_gpus"], own_cards(launch), launch["rm_device"]
    if asked and device == "cpu":
        return [f"--rm_gpus {asked} and --rm_device cpu exclude each other. Leave one of them out."]
    if device == "cuda" and not gpus:
        return ["--rm_device cuda, but this machine shows no GPU (nvidia-smi). Leave it out."]
    if config.hardware == "cpu":
        return [f"--rm_gpus {asked}: on the CPU there are no GPUs. Leave it out."] if asked else []
    there = f"this machine shows {plural(gpus, 'GPU')} (nvidia-smi, CUDA_VISIBLE_DEVICES)"
    if gpus < here or gpus < 1:
        where = "." if gpus else " on a machine with a GPU, or --hardware cpu."
        return [f"--n_gpus {here}, but {there}. Use --n_gpus {gpus or 1}{where}"]
    if gpus < here + own:
        fits = f"--n_gpus {gpus - own}" if own < gpus else "--rm_gpus 0"
        return [f"--n_gpus {here} and --rm_gpus {own} add up, but {there}. Use {fits}."]
    return []


def _replica_problems(verl: dict[str, Any], model: Model) -> list[str]:
    """A replica has GPUs of one machine, or all GPUs of several (verl/workers/rollout/replica.py,
    gpus_per_replica_node)."""
    world, here = ranks(verl), ranks_here(verl)
    tp = get(verl, f"{ROLLOUT}.tensor_model_parallel_size")
    parts = [d for d in range(1, world + 1) if world % d == 0 and 0 in (here % d, d % here)]
    fits = [d for d in parts if not (model.heads or d) % d]
    if tp in fits:
        return []
    heads = f" and the {model.heads} attention heads of {model.name}" if model.heads else ""
    nodes = f" on each of {world // here} machines" if world > here else ""
    use = " or ".join(map(str, fits))
    return [f"--tp_size {tp} must divide --n_gpus {here}{nodes}{heads}. Use --tp_size {use}."]


def _length_problems(verl: dict[str, Any], model: Model) -> list[str]:
    length, found = sequence_length(verl), []
    if model.max_positions and length > model.max_positions:
        found.append(
            f"--max_prompt_length + --max_response_length = {length}, but {model.name} has "
            f"{model.max_positions} positions. Shorten one of them."
        )
    for key in (f"{ROLLOUT}.max_model_len", f"{ACTOR}.ppo_max_token_len_per_gpu"):
        if get(verl, key) < length:
            found.append(
                f"{key}={get(verl, key)} is shorter than prompt and response together "
                f"({length}). Leave it out."
            )
    return found
