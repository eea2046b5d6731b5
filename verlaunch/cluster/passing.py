"""Variables that node 0 hands to the others: what its shell has set for the libraries of a run.

    to_hand({"HF_TOKEN": "hf_...", "NCCL_DEBUG": "INFO", "HOME": "/home/me"})
    ->  {"HF_TOKEN": "hf_...", "NCCL_DEBUG": "INFO"}

They travel sealed (wire.py), are never printed, and a variable that a node has set itself stays as
it is there. Left out on purpose: keys of judges and trackers, since rewards are asked and steps are
logged by node 0 alone; and what names a device, an address or a port of one machine.
"""

from collections.abc import Mapping

PREFIXES = ("HF_", "HUGGING_FACE_", "TRANSFORMERS_", "TOKENIZERS_", "VLLM_", "VERL_", "NCCL_",
            "GLOO_", "TORCH_", "PYTORCH_", "TORCHINDUCTOR_", "TRITON_", "OMP_", "FLASH_ATTENTION_",
            "RAY_memory_", "UCX_", "FI_")  # fmt: skip
OWN = ("_IFNAME", "_HCA", "_HOST_IP", "_PORT", "_DEVICES", "_NET_DEVICES")


def to_hand(env: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in env.items()
        if name.startswith(PREFIXES) and not name.endswith(OWN)
    }
