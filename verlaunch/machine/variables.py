"""Environment variables by their names: which hold a secret, travel with a run, or may be shown.

    is_secret("WANDB_API_KEY")     ->  True
    to_hand({"HF_TOKEN": "hf_...", "NCCL_DEBUG": "INFO", "HOME": "/home/me"})
    ->  {"HF_TOKEN": "hf_...", "NCCL_DEBUG": "INFO"}      # from node 0 to the others
    shown({"NCCL_DEBUG": "INFO", "HF_TOKEN": "hf_..."})   ->  {"NCCL_DEBUG": "INFO"}

What is handed over travels sealed (cluster/wire.py), is never printed, and a variable that a node
has set itself stays as it is there. Left out on purpose: keys of judges and trackers for other
nodes, since rewards are asked and steps are logged by node 0 alone; and what names a device, an
address or a port of one machine.
"""

import re
from collections.abc import Mapping

# A variable, or a part of a web address, whose name has one of these holds a secret.
SECRET_WORDS = r"key|token(?!iz)|secret|pass|credential|cookie|private|signature|auth|header"
_SECRET = re.compile(SECRET_WORDS, re.I)
LIBRARIES = ("HF_", "HUGGING_FACE_", "TRANSFORMERS_", "TOKENIZERS_", "VLLM_", "VERL_", "NCCL_",
             "GLOO_", "TORCH_", "TORCHINDUCTOR_", "TORCHDYNAMO_", "PYTORCH_", "TRITON_", "OMP_",
             "MKL_", "FLASH_ATTENTION_", "UCX_", "FI_")  # fmt: skip
TRACKERS = ("WANDB_", "SWANLAB_", "MLFLOW_", "TRACKIO_", "TENSORBOARD_", "CLEARML_", "VOLC_",
            "MLP_")  # fmt: skip
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")  # in small letters as well
OF_ONE_MACHINE = ("_IFNAME", "_HCA", "_HOST_IP", "_PORT", "_DEVICES", "_NET_DEVICES")
SHOWN_NAMES = frozenset({
    *("CONDA_PREFIX", "CUDA_DEVICE_ORDER", "CUDA_HOME", "CUDA_LAUNCH_BLOCKING"),
    *("CUDA_VISIBLE_DEVICES", "DO_NOT_TRACK", "HOME", "LANG", "LC_ALL"),
    *("LD_LIBRARY_PATH", "LD_PRELOAD", "MASTER_ADDR", "MASTER_PORT"),
    *("NVIDIA_VISIBLE_DEVICES", "PATH", "PYTHONPATH", "RANK", "TERM", "TMPDIR"),
    *("VIRTUAL_ENV", "WORLD_SIZE", "XDG_CACHE_HOME", *PROXIES),
})  # fmt: skip
SHOWN_BEGINNINGS = (*LIBRARIES, "MALLOC_", "RAY_", "VERLAUNCH_", "WANDB_MODE", "SLURM_JOB_NUM",
                    "SLURM_N")  # fmt: skip


def is_secret(name: str) -> bool:
    return bool(_SECRET.search(name))


def to_hand(env: Mapping[str, str]) -> dict[str, str]:
    """What node 0's shell has set for the libraries of a run, for the other nodes."""
    begin = (*LIBRARIES, "RAY_memory_")
    return {
        name: value
        for name, value in env.items()
        if name.startswith(begin) and not name.endswith(OF_ONE_MACHINE)
    }


def shown(env: Mapping[str, str]) -> dict[str, str]:
    """What a file for others may hold of it; the values still have to be scrubbed."""
    known = (n for n in env if n.upper() in SHOWN_NAMES or n.startswith(SHOWN_BEGINNINGS))
    return {name: env[name] for name in sorted(known) if not is_secret(name)}
