"""How vLLM is started for a reward model: its arguments, and the environment of its process.

    engine_arguments(folder, folder, probe(folder), "cpu", gpus=0)   # {"runner": "pooling", ...}
    environment("cpu")                                # what differs from ours; None: taken away

Nothing here imports vLLM: that is the child's to do.
"""

import json
import os
from pathlib import Path
from typing import Any

from rewards.models.probe import Probe

MOST_THREADS = 16  # a batch of one reward model is no faster with more
SEQUENCES = 256  # in flight at most
BLOCK = 128  # tokens; vLLM's on the CPU, the largest: a short text takes a whole one
# Where the first card is shared, the weights and the cache below are all that is taken: vLLM
# compares this share with the free memory, and nothing else, when the cache has a size.
SHARE = 0.05
ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_HOST_IP": "127.0.0.1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    "TOKENIZERS_PARALLELISM": "false",
}
# Several runs share a machine: threads are not bound to its first cores.
CPU = {
    "VLLM_TARGET_DEVICE": "cpu",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_CPU_KVCACHE_SPACE": None,  # that of the rollouts; it would replace our own size
}


def device_of(asked: str) -> str:
    if asked != "auto":
        return asked.split(":")[0]
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def environment(device: str) -> dict[str, str | None]:
    if device != "cpu":
        return {**ENVIRONMENT}
    return {**ENVIRONMENT, **CPU, "OMP_NUM_THREADS": str(threads())}


def threads() -> int:
    """What this process may use: inside Ray, OMP_NUM_THREADS says 1 whatever there is."""
    return min(len(os.sched_getaffinity(0)), MOST_THREADS)


def text_config(folder: Path) -> dict[str, Any]:
    """config.json, or the part of it that is about the language model."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return {**config, **(config.get("text_config") or {})}


def _heads(config: dict[str, Any]) -> tuple[int, int]:
    """Heads of queries, and of what the cache keeps."""
    heads = config["num_attention_heads"]
    return heads, config.get("num_key_value_heads") or heads


def _cards(gpus: int, config: dict[str, Any]) -> int:
    """For one copy of the model: the most by which vLLM can divide its heads."""
    heads, kept = _heads(config)
    fit = [n for n in range(1, gpus + 1) if heads % n == 0 and (kept % n == 0 or n % kept == 0)]
    return max(fit, default=1)


def _cache_bytes(config: dict[str, Any], max_length: int, value_bytes: int, cards: int) -> int:
    """On each card: room for the texts of one step and two of the longest. A scored text leaves."""
    heads, kept = _heads(config)
    size = config.get("head_dim") or config["hidden_size"] // heads
    tokens = SEQUENCES * BLOCK + 2 * max_length
    each = max(1, kept // cards)
    return 2 * config["num_hidden_layers"] * each * size * tokens * value_bytes


def engine_arguments(
    folder: Path, tokenizer: Path, probe: Probe, device: str, gpus: int
) -> dict[str, Any]:
    config = text_config(folder)
    exact = device == "cpu" or probe.profile.full_precision
    cards = _cards(gpus, config)
    cache = _cache_bytes(config, probe.max_length, 4 if exact else 2, cards)
    arguments = {
        "model": str(folder),
        "tokenizer": str(tokenizer),
        "skip_tokenizer_init": True,
        "trust_remote_code": probe.trust_remote_code,
        "runner": "pooling",
        "dtype": "float32" if exact else "bfloat16",
        "max_model_len": probe.max_length,
        "max_num_seqs": SEQUENCES,
        "kv_cache_memory_bytes": cache,
        "tensor_parallel_size": cards,
        "distributed_executor_backend": "uni" if cards == 1 else "mp",
        "enforce_eager": True,  # texts are read once, not word by word: graphs would gain nothing
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
    }
    return arguments if device == "cpu" else arguments | {"gpu_memory_utilization": SHARE}
