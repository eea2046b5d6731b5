"""LoRA adapters in a checkpoint: merged into the weights as these are read, or written alone.

    weights = Merged(Shards(actor), settings_of(actor))     # names as transformers has them
    write_adapter(Shards(actor), settings, "Qwen/Qwen2.5-0.5B", Path("adapter"))

verl's own merger leaves adapters unmerged (model_merger/base_model_merger.py). Only linear layers
carry adapters in verl; anything else is refused rather than forgotten.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from verlaunch.weights.shards import CannotExport, Shards

WRAPPER = "base_model.model."  # what peft puts in front of every name
A, B = ".lora_A.default.weight", ".lora_B.default.weight"
SETTINGS = "lora_train_meta.json"  # verl's, beside the shards: rank and alpha, which it rounds
OWN = "adapter_config.json"  # of the adapter that training went on with, copied as it was


def settings_of(folder: Path) -> dict[str, Any] | None:
    """Rank, alpha and what else peft knows of it; None where the checkpoint has no adapter."""
    for name in (OWN, SETTINGS):
        if (folder / name).is_file():
            return json.loads((folder / name).read_text())
    return None


def scale(settings: Mapping[str, Any], layer: str, rank: int) -> float:
    """Of a layer's B A, as peft has it. layer: its name in the model, without what wraps it."""
    patterns = settings.get("alpha_pattern") or {}
    own = next((key for key in patterns if re.match(rf"(.*\.)?({key})$", layer)), None)
    alpha = settings["lora_alpha"] if own is None else patterns[own]
    return float(alpha / (math.sqrt(rank) if settings.get("use_rslora") else rank))


def adapter_names(shards: Shards) -> list[str]:
    return [name for name in shards if "lora_" in name]


class Merged(Mapping[str, torch.Tensor]):
    """W + scale * B A where there is an adapter; shapes: A (r, in), B (out, r), W (out, in).

    Names are transformers' own. Without adapters it is the shards as they are.
    """

    def __init__(self, shards: Shards, settings: dict[str, Any] | None) -> None:
        adapters = adapter_names(shards)
        odd = [name for name in adapters if not name.endswith((A, B))]
        if odd or (adapters and settings is None):
            what = f"an adapter on {odd[0]}" if odd else f"adapters but no {SETTINGS}"
            raise CannotExport(f"{shards.folder} has {what}; that cannot be merged.")
        self.shards = shards
        self.settings = settings or {}
        self.names = {
            name.removeprefix(WRAPPER).replace(".base_layer.", "."): name
            for name in shards
            if "lora_" not in name
        }

    def shape(self, name: str) -> torch.Size:
        return self.shards.shape(self.names[name])

    def __getitem__(self, name: str) -> torch.Tensor:
        source = self.names[name]
        weight = self.shards[source]
        layer = source.removesuffix(".base_layer.weight")
        if layer + A not in self.shards:
            return weight
        into = self.shards[layer + A].float()
        factor = scale(self.settings, layer.removeprefix(WRAPPER), len(into))
        delta = self.shards[layer + B].float() @ into
        return (weight.float() + factor * delta).to(weight.dtype)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def write_adapter(shards: Shards, settings: dict[str, Any], base: str, out: Path) -> None:
    """A peft folder. `base`: the model it belongs on, a folder or a hub id."""
    from peft import LoraConfig
    from safetensors.torch import save_file

    out.mkdir(exist_ok=True)
    names = adapter_names(shards)
    if (shards.folder / OWN).is_file():
        own = {**settings, "base_model_name_or_path": base, "inference_mode": True}
        (out / OWN).write_text(json.dumps(own, indent=2) + "\n")
    else:
        LoraConfig(
            r=settings["r"],
            lora_alpha=settings["lora_alpha"],
            target_modules=sorted({name.split(".lora_")[0].rsplit(".", 1)[-1] for name in names}),
            task_type=settings.get("task_type") or "CAUSAL_LM",
            base_model_name_or_path=base,
            inference_mode=True,
        ).save_pretrained(str(out))
    weights = {name.replace(".default.", "."): shards[name] for name in names}
    save_file(
        {name: tensor.contiguous() for name, tensor in weights.items()},
        out / "adapter_model.safetensors",
        metadata={"format": "pt"},
    )
