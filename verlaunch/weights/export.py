"""An FSDP checkpoint -> a Hugging Face folder that transformers and vLLM load.

    export(Path("outputs/checkpoints/global_step_60/actor"), Path("outputs/checkpoints/final"))

Works for the critic's folder too. A LoRA adapter is merged into the weights and also written by
itself, to `adapter/`. verl's own merger leaves LoRA unmerged and rounds to bf16 (model_merger/).
Memory: see hub_folder.py. Whether the result is right is another question: proof.py.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from verlaunch.machine import disk
from verlaunch.weights import lora
from verlaunch.weights.hub_folder import write
from verlaunch.weights.lora import Merged
from verlaunch.weights.other_readers import for_older
from verlaunch.weights.shards import CannotExport, Shards

KEEP = "keep"
OF_THE_MODEL = ("config.json", "generation_config.json")  # not of an adapter
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def _named(config: Path) -> torch.dtype | None:
    try:
        facts = json.loads(config.read_text())
    except (OSError, ValueError):
        return None
    return DTYPES.get(facts.get("dtype") or facts.get("torch_dtype") or "")


def dtype_of(wanted: str, checkpoint: Path, base_model: str) -> torch.dtype:
    """`keep`: what the base model is published in; training keeps fp32 masters of it, and says
    fp32 in the checkpoint's config, which counts where the base model is not at hand."""
    if wanted != KEEP:
        return DTYPES[wanted]
    configs = [Path(base_model) / "config.json"] if base_model else []
    configs.append(checkpoint / "huggingface" / "config.json")
    return next(filter(None, map(_named, configs)), torch.float32)


@dataclass(frozen=True)
class Sizes:
    written: int  # bytes on the disk
    fp32: int  # bytes of one fp32 copy in memory


def sizes(checkpoint: Path, base_model: str, dtype: str = KEEP) -> Sizes:
    """What an export takes; reads no weights."""
    weights = Merged(Shards(checkpoint), lora.settings_of(checkpoint))
    numbers = sum(weights.shape(name).numel() for name in weights)
    return Sizes(numbers * dtype_of(dtype, checkpoint, base_model).itemsize, numbers * 4)


def export_adapter(checkpoint: Path, out: Path, base_model: str) -> Path:
    """The adapter alone, with the tokenizer it was trained with."""
    shards, settings = Shards(checkpoint), lora.settings_of(checkpoint)
    if settings is None or not lora.adapter_names(shards):
        raise CannotExport(f"{checkpoint} has no LoRA adapter. Leave --adapter out.")
    with disk.building(out) as building:
        lora.write_adapter(shards, settings, base_model, building)
        for file in (checkpoint / "huggingface").iterdir():
            if file.is_file() and file.name not in OF_THE_MODEL:
                shutil.copy(file, building / file.name)
        for_older(building)
    return out


def export(
    checkpoint: Path, out: Path, base_model: str = "", dtype: str = KEEP, base_name: str = ""
) -> Path:
    """Writes `out`, whole or not at all, replacing an earlier export. `checkpoint`: .../actor.

    base_model: the folder that training began with; base_name: what an adapter's config calls it,
    where that is another name. Raises CannotExport and OSError.
    """
    shards, settings = Shards(checkpoint), lora.settings_of(checkpoint)
    weights = Merged(shards, settings)
    with disk.building(out) as building:
        if settings and lora.adapter_names(shards):
            lora.write_adapter(shards, settings, base_name or base_model, building / "adapter")
        chosen = dtype_of(dtype, checkpoint, base_model)
        write(weights, checkpoint / "huggingface", building, chosen)
    return out
