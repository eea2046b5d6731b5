"""What every process of a run inherits, as plain data.

The first part repeats verl's own list (verl/trainer/constants_ppo.py:82-99), which cannot be
imported without torch. Nothing secret belongs here: Ray prints runtime environments.
"""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

CPU_METADATA = Path(__file__).parent / "cpu_metadata"

VERL = {
    "TOKENIZERS_PARALLELISM": "true",
    "NCCL_DEBUG": "WARN",
    "VLLM_LOGGING_LEVEL": "WARN",
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "true",
    "VLLM_DISABLE_COMPILE_CACHE": "1",
    "TRANSFER_QUEUE_ENABLE": "1",
    "HYDRA_FULL_ERROR": "1",
}

# Quiet and private: no usage reports, no dashboard agents that nobody reads.
PRIVATE = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "RAY_worker_niceness": "0",  # Ray's 15 lets any other process on the machine starve a run
    "RAY_enable_metrics_collection": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_prestart_worker_first_driver": "0",  # workers for a dozen logical CPUs that nobody uses
    "RAY_num_workers_soft_limit": "0",  # verl's one-time tasks would each leave a worker behind
    # Ray's dashboard process runs even where there is none, and shows its metrics to everybody;
    # with a port that is none it gives that up (ray/dashboard/head.py:361).
    "DASHBOARD_METRIC_PORT": "-1",
    "RAY_AUTH_MODE": "token",
}

ALONE = {
    # The switch that keeps every Ray process on loopback; its name is Ray's, it works on Linux too.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}

CPU = {
    "VERL_PLATFORM": "cpu",
    "VLLM_TARGET_DEVICE": "cpu",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    # With "uni" below vLLM keeps its worker inside EngineCore: one process less per replica.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    # vLLM compiles the count of likelier tokens (v1/sample/ops/logprobs.py): with gcc, 2 to 20 s in
    # the first generation, for a sum.
    "TORCHDYNAMO_DISABLE": "1",
    # Threads that wait for each other by spinning, libgomp's way, take the cores away from those
    # they wait for as soon as anything else runs: 1.5 s a step became 2 to 5 s.
    "OMP_WAIT_POLICY": "PASSIVE",
    "MALLOC_ARENA_MAX": "2",
}
# Whatever sets one of these also stops glibc from raising the size above which an allocation is
# mapped (mallopt(3), M_MMAP_THRESHOLD): at its 128 KiB each tensor is mapped, zeroed page by page
# and unmapped at every operation, which takes ten times the page faults and half as long again.
# With both at 128 MiB what a step needs stays, and what an update took beyond goes back.
ALLOCATOR = {"MALLOC_TRIM_THRESHOLD_": str(128 << 20), "MALLOC_MMAP_THRESHOLD_": str(128 << 20)}
# Without its package vLLM would still ask flashinfer whether it samples, and end
# (v1/sample/ops/topk_topp_sampler.py).
WITHOUT_FLASHINFER = {"VLLM_USE_FLASHINFER_SAMPLER": "0"}
CPU_ALONE = {"GLOO_SOCKET_IFNAME": "lo", "VLLM_HOST_IP": "127.0.0.1"}


def _network(hardware: str, place: Mapping[str, Any] | None) -> dict[str, str]:
    """Which interface gloo, NCCL and vLLM use. `place`: this machine's, among others."""
    if place is None:
        return {**ALONE, **(CPU_ALONE if hardware == "cpu" else {})}
    found = {"VLLM_HOST_IP": place["address"]}
    if name := place["interface"]:
        # NCCL takes a name for a prefix (eth1 would stand for eth10 too), unless = says otherwise.
        found |= {"GLOO_SOCKET_IFNAME": name, "NCCL_SOCKET_IFNAME": f"={name}"}
    return found


def for_run(
    hardware: str, inherited: Mapping[str, str], place: Mapping[str, Any] | None = None
) -> dict[str, str]:
    """The variables to add. What the user has set stays, but for the token and the ALLOCATOR.

    `place`: address and interface of this machine in a run of several; None for one machine.
    """
    of_gpu = {} if find_spec("flashinfer") else WITHOUT_FLASHINFER
    of_hardware = CPU if hardware == "cpu" else of_gpu
    ours = {**VERL, **PRIVATE, **of_hardware, **_network(hardware, place)}
    added = {name: value for name, value in ours.items() if name not in inherited}
    if place is not None:  # else whoever reaches a port of Ray's runs code on all machines
        added["RAY_AUTH_MODE"] = "token"
    if hardware == "cpu":
        added |= ALLOCATOR
        # vLLM and verl ask importlib.metadata for "vllm"; the CPU build is called vllm-cpu.
        paths = [str(CPU_METADATA), *filter(None, [inherited.get("PYTHONPATH")])]
        added["PYTHONPATH"] = os.pathsep.join(paths)
    return added


def notes(hardware: str, inherited: Mapping[str, str]) -> list[str]:
    """What of the user's own variables does not count, and why."""
    theirs = [f"{name}={inherited[name]}" for name in ALLOCATOR if name in inherited]
    if hardware != "cpu" or not theirs:
        return []
    return [f"{' '.join(theirs)} is left out: it would slow every operation on a tensor down"]
