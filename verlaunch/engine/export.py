"""An FSDP checkpoint -> a Hugging Face folder that transformers and vLLM load.

    export(Path("outputs/checkpoints/global_step_60/actor"), Path("outputs/checkpoints/final"))

Shards are joined along the dimension that FSDP2 cut, in the precision that was trained; a LoRA
adapter is merged into the weights and also written by itself, to `adapter/`. Works for the critic's
folder too. verl's own merger leaves LoRA unmerged and rounds to bf16 (model_merger/).
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from torch.distributed.tensor import DTensor

Weights = dict[str, torch.Tensor]
WRAPPER = "base_model.model."  # what peft puts in front of every name


def _joined(shards: list[Any]) -> torch.Tensor:
    """One parameter from its shards, in rank order."""
    first = shards[0]
    if not isinstance(first, DTensor):
        return first
    placement = first.placements[-1]  # the FSDP dimension; one before it replicates
    if placement.is_replicate():
        return first.to_local()
    ranks = first.device_mesh.mesh.shape[-1]
    return torch.cat([shard.to_local() for shard in shards[:ranks]], dim=placement.dim)


def load(folder: Path) -> Weights:
    """Full weights by name, on the CPU. Raises FileNotFoundError when a rank's file is missing."""
    ranks = json.loads((folder / "fsdp_config.json").read_text())["world_size"]
    shards = [
        torch.load(
            folder / f"model_world_size_{ranks}_rank_{rank}.pt",
            map_location="cpu",
            weights_only=False,  # our own files: DTensors are pickled classes
        )
        for rank in range(ranks)
    ]
    return {name: _joined([shard[name] for shard in shards]) for name in list(shards[0])}


def split_adapter(weights: Weights) -> tuple[Weights, Weights]:
    """(base weights under transformers' names, adapter weights under peft's)."""
    adapter = {
        name.replace(".default.", "."): tensor
        for name, tensor in weights.items()
        if "lora_" in name
    }
    base = {
        name.removeprefix(WRAPPER).replace(".base_layer.", "."): tensor
        for name, tensor in weights.items()
        if "lora_" not in name
    }
    return base, adapter


def merge(base: Weights, adapter: Weights, scale: float) -> Weights:
    """W + scale * B A per adapted linear layer; shapes: A (r, in), B (out, r), W (out, in)."""
    merged = dict(base)
    for name, a in adapter.items():
        if ".lora_A." not in name:
            continue
        b = adapter[name.replace(".lora_A.", ".lora_B.")]
        target = name.removeprefix(WRAPPER).replace(".lora_A.", ".")
        delta = scale * (b.float() @ a.float())
        merged[target] = (base[target].float() + delta).to(base[target].dtype)
    return merged


def _write_adapter(adapter: Weights, settings: dict[str, Any], base: str, out: Path) -> None:
    from peft import LoraConfig
    from safetensors.torch import save_file

    out.mkdir(parents=True)
    modules = sorted({name.split(".lora_")[0].rsplit(".", 1)[-1] for name in adapter})
    LoraConfig(
        r=settings["r"],
        lora_alpha=settings["lora_alpha"],
        target_modules=modules,
        task_type=settings.get("task_type") or "CAUSAL_LM",
        base_model_name_or_path=base,
    ).save_pretrained(str(out))
    save_file({k: v.contiguous() for k, v in adapter.items()}, out / "adapter_model.safetensors")


def _dtype(config: Any, weights: Weights) -> torch.dtype:
    """What the model was published in; training keeps fp32 masters of it."""
    wanted = getattr(config, "dtype", None)
    if isinstance(wanted, torch.dtype):
        return wanted
    return next(iter(weights.values())).dtype


def _write_model(weights: Weights, small_files: Path, out: Path) -> None:
    import transformers
    from accelerate import init_empty_weights

    config = transformers.AutoConfig.from_pretrained(small_files)
    cls = getattr(transformers, config.architectures[0])
    dtype = _dtype(config, weights)
    with init_empty_weights():
        model = cls(config)
    if model.can_generate() and (small_files / "generation_config.json").is_file():
        model.generation_config = transformers.GenerationConfig.from_pretrained(small_files)
    if getattr(config, "tie_word_embeddings", False):
        weights = {k: v for k, v in weights.items() if k != "lm_head.weight"}
    model.save_pretrained(out, state_dict={k: v.to(dtype) for k, v in weights.items()})
    for file in small_files.iterdir():
        if file.is_file() and not (out / file.name).exists() and file.suffix != ".safetensors":
            shutil.copy(file, out / file.name)


def export(checkpoint: Path, out: Path, base_model: str = "") -> Path:
    """Writes `out`, whole or not at all, replacing an earlier export. `checkpoint`: .../actor."""
    weights = load(checkpoint)
    base, adapter = split_adapter(weights)
    building = out.with_name(f".{out.name}-{os.getpid()}")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    try:
        if adapter:
            settings = json.loads((checkpoint / "lora_train_meta.json").read_text())
            _write_adapter(adapter, settings, base_model, building / "adapter")
            base = merge(base, adapter, settings["lora_alpha"] / settings["r"])
        _write_model(base, checkpoint / "huggingface", building)
        shutil.rmtree(out, ignore_errors=True)
        os.replace(building, out)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return out
