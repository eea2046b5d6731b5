"""Weights, a config and a tokenizer -> a folder in Hugging Face's layout.

    write(Merged(shards, None), checkpoint / "huggingface", out, torch.bfloat16)

Weights are joined, merged, rounded and written file by file, so that the memory taken is that of
one file (MOST_BYTES), whatever the model's size. Families whose weights transformers itself stores
in another shape than it trains them (mixtures of experts, mostly) go through its own writer, which
holds the whole model.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import torch

from verlaunch.weights.lora import Merged
from verlaunch.weights.other_readers import for_older
from verlaunch.weights.shards import CannotExport

MOST_BYTES = 4 << 30
NAME = "model.safetensors"
WRITTEN = ("/config.json", ".index.json", ".safetensors", ".bin")  # here, from the weights


def empty_model(small_files: Path, dtype: torch.dtype) -> Any:
    """The checkpoint's architecture without weights; buffers are there."""
    import transformers
    from accelerate import init_empty_weights

    config = transformers.AutoConfig.from_pretrained(small_files)
    cls = getattr(transformers, config.architectures[0], None)
    if cls is None:
        raise CannotExport(
            f"{config.architectures[0]} is not an architecture of transformers "
            f"{transformers.__version__}; models with code of their own are not exported."
        )
    with init_empty_weights():
        return cls._from_config(config, dtype=dtype)


def _is_stored_as_trained(model: Any) -> bool:
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping

    kinds = {
        (type(m).__name__, m.config.model_type) for m in model.modules() if hasattr(m, "config")
    }
    return not any(get_checkpoint_conversion_mapping(key) for kind in kinds for key in kind)


def _stream(weights: Merged, names: list[str], dtype: torch.dtype, out: Path) -> None:
    from huggingface_hub import split_torch_state_dict_into_shards
    from safetensors.torch import save_file

    shapes = {name: torch.empty(weights.shape(name), dtype=dtype, device="meta") for name in names}
    split = split_torch_state_dict_into_shards(shapes, max_shard_size=MOST_BYTES)
    for file, held in split.filename_to_tensors.items():
        # clone: two names of one storage, or a mapped file's padding, are refused by safetensors
        tensors = {name: weights[name].to(dtype, copy=True).contiguous() for name in held}
        save_file(tensors, out / file, metadata={"format": "pt"})
    if split.is_sharded:
        index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
        (out / f"{NAME}.index.json").write_text(json.dumps(index, indent=1) + "\n")


def write(weights: Merged, small_files: Path, out: Path, dtype: torch.dtype) -> None:
    model = empty_model(small_files, dtype)
    names = list(weights)
    if getattr(model.config, "tie_word_embeddings", False):
        names = [name for name in names if name != "lm_head.weight"]
    if _is_stored_as_trained(model):
        _stream(weights, names, dtype, out)
        model.config.dtype = dtype
        model.config.save_pretrained(out)
    else:
        model.save_pretrained(out, state_dict={name: weights[name].to(dtype) for name in names})
    for file in small_files.iterdir():  # the tokenizer and where an answer ends, as they are there
        if file.is_file() and not str(file).endswith(WRITTEN):
            shutil.copy(file, out / file.name)
    for_older(out)
