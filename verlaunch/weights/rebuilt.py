"""Two models to compare: the one that training shards hold, and the one a user loads from a folder.

    trained_model(checkpoint / "actor"), exported_model(out / "actor")

The first is built by another way than the export's: every rank's piece is put where FSDP2's rule
says that it belongs, in a tensor of NaN, and LoRA adapters stay beside the weights, in peft's own
layers.
"""

import math
from pathlib import Path
from typing import Any

import torch

from verlaunch.weights import lora
from verlaunch.weights.hub_folder import empty_model
from verlaunch.weights.shards import CannotExport, Shards, pieces_and_dim


def _placed(shards: Shards, name: str) -> torch.Tensor:
    pieces, dim = pieces_and_dim(shards.of_ranks(name))
    if dim is None:
        return pieces[0].float()
    whole = torch.full(shards.shape(name), math.nan)
    rows = -(-whole.shape[dim] // len(pieces))
    for rank, piece in enumerate(pieces):
        if piece.shape[dim]:
            whole.narrow(dim, rank * rows, piece.shape[dim]).copy_(piece)
    return whole


def _with_adapters(model: Any, shards: Shards, settings: dict[str, Any]) -> Any:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=settings["r"],
        lora_alpha=settings["lora_alpha"],
        use_rslora=settings.get("use_rslora", False),
        alpha_pattern=settings.get("alpha_pattern") or {},
        rank_pattern=settings.get("rank_pattern") or {},
        target_modules=[n.split(".lora_")[0].removeprefix(lora.WRAPPER)
                        for n in lora.adapter_names(shards)],
    )  # fmt: skip
    return get_peft_model(model, config, low_cpu_mem_usage=True)


def trained_model(checkpoint: Path) -> Any:
    """The model that the shards hold, in fp32. Raises CannotExport when they hold another one."""
    shards, settings = Shards(checkpoint), lora.settings_of(checkpoint)
    model = empty_model(checkpoint / "huggingface", torch.float32)
    if settings and lora.adapter_names(shards):
        model = _with_adapters(model, shards, settings)
    told = model.load_state_dict(
        {name: _placed(shards, name) for name in shards}, strict=False, assign=True
    )
    if told.unexpected_keys:
        raise CannotExport(f"{checkpoint} has weights of no such model: {told.unexpected_keys[0]}.")
    (model.get_base_model() if hasattr(model, "peft_config") else model).tie_weights()
    missing = [name for name, weight in model.named_parameters() if weight.is_meta]
    if missing:
        raise CannotExport(f"{checkpoint} lacks {missing[0]}, which its model has.")
    return model


def exported_model(folder: Path, base_model: str = "") -> Any:
    """As a user loads it, in fp32; with a `base_model` the folder is an adapter on it."""
    import transformers

    if base_model:
        from peft import PeftModel

        base = transformers.AutoModelForCausalLM.from_pretrained(base_model, dtype=torch.float32)
        return PeftModel.from_pretrained(base, folder)
    config = transformers.AutoConfig.from_pretrained(folder)
    cls = getattr(transformers, config.architectures[0])
    model, told = cls.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    if wrong := [*told["missing_keys"], *told["unexpected_keys"], *told["mismatched_keys"]]:
        raise CannotExport(f"{folder}: transformers does not find its place for {wrong[0]}.")
    return model
