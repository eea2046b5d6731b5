"""Whether a configuration fits the model's own sizes and the cards of this machine.

    [finding.text for finding in check(scene)]   ->  ["--tp_size 3 must divide --n_gpus 8 ..."]

Left out on purpose: how the batch sizes divide (batch_sizes.py), and memory (memory_needed.py).
"""

from collections.abc import Iterator
from typing import Any

from verlaunch.config.tree import ACTOR, ROLLOUT, get, ranks, ranks_here, sequence_length
from verlaunch.errors import Finding
from verlaunch.inputs.models import Model
from verlaunch.plan.guards.scene import Scene
from verlaunch.plan.sizes import own_cards
from verlaunch.text import plural

# What vLLM's attention on the CPU computes (vllm/v1/attention/backends/cpu_attn.py:66).
CPU_HEAD_DIMS = (32, 64, 80, 96, 112, 128, 160, 192, 224, 256, 512)
# Estimators that compare the responses to one prompt; those of the flag come first.
FLAGGED = ("grpo", "rloo")
GROUPED = (*FLAGGED, "reinforce_plus_plus_baseline", "grpo_passk", "opo", "rloo_vectorized",
           "grpo_vectorized", "gpg")  # fmt: skip


def check(scene: Scene) -> Iterator[Finding]:
    verl, model = scene.config.verl, scene.model
    yield from map(Finding, filter(None, [_cards(scene), _replicas(verl, model)]))
    yield from _lengths(verl, model)
    if scene.config.hardware == "cpu" and model.head_dim and model.head_dim not in CPU_HEAD_DIMS:
        yield Finding(
            f"{model.name} has attention heads of {model.head_dim}; on the CPU vLLM takes "
            f"{', '.join(map(str, CPU_HEAD_DIMS))}. Use another model, or a GPU."
        )
    estimator = get(verl, "algorithm.adv_estimator")
    if estimator in GROUPED and get(verl, f"{ROLLOUT}.n") < 2:
        typed = "--adv_estimator " if estimator in FLAGGED else "algorithm.adv_estimator="
        yield Finding(f"{typed}{estimator} compares responses to one prompt. Use --rollout_n 4.")
    packing = f"{ACTOR}.use_dynamic_bsz", f"{ROLLOUT}.log_prob_use_dynamic_bsz"
    if len({bool(get(verl, key)) for key in packing}) > 1:
        yield Finding(f"{packing[0]} and {packing[1]} must be the same. Leave the second one out.")


def _cards(scene: Scene) -> str:
    """Cards of the trainer, and of a reward model beside it."""
    launch, gpus, here = scene.config.launch, len(scene.machine.gpus), ranks_here(scene.config.verl)
    asked, own, device = launch["rm_gpus"], own_cards(launch), launch["rm_device"]
    if asked and device == "cpu":
        return f"--rm_gpus {asked} and --rm_device cpu exclude each other. Leave one of them out."
    if device == "cuda" and not gpus:
        return "--rm_device cuda, but this machine shows no GPU (nvidia-smi). Leave it out."
    if scene.config.hardware == "cpu":
        return f"--rm_gpus {asked}: on the CPU there are no GPUs. Leave it out." if asked else ""
    there = f"this machine shows {plural(gpus, 'GPU')} (nvidia-smi, CUDA_VISIBLE_DEVICES)"
    if gpus < here or gpus < 1:
        where = "." if gpus else " on a machine with a GPU, or --hardware cpu."
        return f"--n_gpus {here}, but {there}. Use --n_gpus {gpus or 1}{where}"
    if gpus < here + own:
        fits = f"--n_gpus {gpus - own}" if own < gpus else "--rm_gpus 0"
        return f"--n_gpus {here} and --rm_gpus {own} add up, but {there}. Use {fits}."
    return ""


def _replicas(verl: dict[str, Any], model: Model) -> str:
    """A replica has GPUs of one machine, or all GPUs of several (verl/workers/rollout/replica.py,
    gpus_per_replica_node)."""
    world, here = ranks(verl), ranks_here(verl)
    tp = get(verl, f"{ROLLOUT}.tensor_model_parallel_size")
    parts = [d for d in range(1, world + 1) if world % d == 0 and 0 in (here % d, d % here)]
    fits = [d for d in parts if not (model.heads or d) % d]
    if tp in fits:
        return ""
    heads = f" and the {model.heads} attention heads of {model.name}" if model.heads else ""
    nodes = f" on each of {world // here} machines" if world > here else ""
    use = " or ".join(map(str, fits))
    return f"--tp_size {tp} must divide --n_gpus {here}{nodes}{heads}. Use --tp_size {use}."


def _lengths(verl: dict[str, Any], model: Model) -> Iterator[Finding]:
    length = sequence_length(verl)
    if model.max_positions and length > model.max_positions:
        yield Finding(
            f"--max_prompt_length + --max_response_length = {length}, but {model.name} has "
            f"{model.max_positions} positions. Shorten one of them."
        )
    for key in (f"{ROLLOUT}.max_model_len", f"{ACTOR}.ppo_max_token_len_per_gpu"):
        if get(verl, key) < length:
            yield Finding(
                f"{key}={get(verl, key)} is shorter than prompt and response together "
                f"({length}). Leave it out."
            )
