"""Starling-RM-7B-alpha as it was published, turned into a model that libraries know, exactly.

    convert(Path("Starling-RM-7B-alpha"), Path("starling"), tokenizer=Path("Llama-2-7b-chat-hf"))

The published weights belong to a class of their own: a Llama below `transformer.`, and `v_head` on
the last hidden state before the first padding. LlamaForSequenceClassification computes the same
from the same numbers, so names change and nothing else. File by file, whatever the size.
"""

import json
import os
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rewards.models.profiles import LLAMA2_TEMPLATE

PUBLISHED, CONVERTED = "LLMForSequenceRegression", "LlamaForSequenceClassification"
LLAMA2 = "meta-llama/Llama-2-7b-chat-hf"  # it has the tokenizer; its licence must be accepted
MAX_LENGTH = 2048  # tokens, of its training; Llama 2 has more positions
PADDING = 0  # <unk>
INDEX = "pytorch_model.bin.index.json"
SHARD_BYTES = 2 * 10**9  # of a file that is written
NOT_WEIGHTS = {"training_args.bin", "optimizer.pt", "scheduler.pt"}
# `model.` is the same Llama once more, with the head that writes text.
RENAMED = {"transformer.": "model.", "v_head.": "score."}
DROPPED = ("model.",)
_SHOWN = 3  # names in a message

Tensors = dict[str, Any]


class NotStarling(Exception):
    """The folder cannot be converted; the message says why and what mends it."""


def _config(source: Path) -> Any:
    from transformers import LlamaConfig

    path = source / "config.json"
    if not path.is_file():
        raise NotStarling(f"{source} has no config.json. Give the folder of Starling-RM-7B-alpha.")
    plain = json.loads(path.read_text(encoding="utf-8"))
    found = (plain.get("architectures") or ["no architecture"])[0]
    if found == CONVERTED:
        raise NotStarling(f"{source} is {found} already. Use it: --reward_model {source}")
    if found != PUBLISHED or plain.get("model_type") != "llama":
        raise NotStarling(
            f"{source} is {found}; this converts {PUBLISHED} on Llama, as Starling-RM-7B-alpha was "
            "published. Other reward models need no conversion: --reward_model FOLDER"
        )
    positions = plain.get("max_position_embeddings", MAX_LENGTH)
    kept = {name: value for name, value in plain.items() if name not in ("auto_map", "id2label")}
    return LlamaConfig(
        **kept
        | {
            "architectures": [CONVERTED],
            "num_labels": 1,
            "pad_token_id": PADDING,
            "max_position_embeddings": min(MAX_LENGTH, positions),
        }
    )


def _files(source: Path) -> list[Path]:
    if (source / INDEX).is_file():
        index = json.loads((source / INDEX).read_text(encoding="utf-8"))
        return [source / name for name in sorted(set(index["weight_map"].values()))]
    found = [*source.glob("*.bin"), *source.glob("*.pt")]
    files = sorted(path for path in found if path.name not in NOT_WEIGHTS)
    if not files:
        raise NotStarling(f"{source} has no weights (*.bin or *.pt). Download all of its files.")
    return files


def _load(path: Path) -> Tensors:
    """Tensors that are read from the disk when they are used. No code in the file is run."""
    import torch

    try:
        try:
            found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError:  # the older format of torch.save
            found = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        first = str(error).strip().split("\n", 1)[0]
        raise NotStarling(f"{path} holds no plain weights ({first}). Download it again.") from None
    if isinstance(found, dict) and all(torch.is_tensor(value) for value in found.values()):
        return found
    raise NotStarling(f"{path} holds more than named tensors; it is no file of Starling's weights.")


def _renamed(tensors: Tensors) -> Iterator[tuple[str, Any]]:
    for name, tensor in tensors.items():
        if name.startswith(DROPPED) or name.endswith("rotary_emb.inv_freq"):
            continue
        old = next((prefix for prefix in RENAMED if name.startswith(prefix)), "")
        yield RENAMED.get(old, "") + name.removeprefix(old), tensor


def _expected(config: Any) -> dict[str, tuple[int, ...]]:
    import torch
    from transformers import LlamaForSequenceClassification

    with torch.device("meta"):
        model = LlamaForSequenceClassification(config)
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def _check(source: Path, found: dict[str, tuple[int, ...]], config: Any) -> None:
    expected = _expected(config)
    kinds = {
        "without": expected.keys() - found.keys(),
        "with unknown": found.keys() - expected.keys(),
        "with other shapes than config.json says of": {
            name for name in expected.keys() & found.keys() if expected[name] != found[name]
        },
    }
    for what, names in kinds.items():
        if names:
            some = ", ".join(sorted(names)[:_SHOWN])
            raise NotStarling(
                f"{source} is not Starling-RM-7B-alpha: {len(names)} tensors differ; it comes "
                f"{what} {some}. Download all of its files again."
            )


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    if not any(folder.glob("tokenizer*")):
        raise NotStarling(
            f"{folder} has no tokenizer. Starling reads by that of {LLAMA2}: --tokenizer FOLDER"
        )
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if tokenizer.convert_tokens_to_ids(["<unk>", "<s>", "</s>"]) != [PADDING, 1, 2]:
        raise NotStarling(
            f"{folder} has another tokenizer than Starling's, that of {LLAMA2}: --tokenizer FOLDER"
        )
    tokenizer.pad_token = "<unk>"
    tokenizer.truncation_side = "left"
    tokenizer.model_max_length = MAX_LENGTH
    tokenizer.chat_template = LLAMA2_TEMPLATE
    return tokenizer


def convert(source: Path, out: Path, tokenizer: Path | None = None) -> None:
    """Writes `out`, whole or not at all. tokenizer: a folder that has it, None for `source`.

    Raises NotStarling.
    """
    from huggingface_hub import save_torch_state_dict

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise NotStarling(f"{out} exists already. Name a folder that does not.")
    config, files = _config(source), _files(source)
    tokens = _tokenizer(tokenizer or source)
    _check(source, {n: tuple(t.shape) for f in files for n, t in _renamed(_load(f))}, config)
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    tensors = {name: tensor for path in files for name, tensor in _renamed(_load(path))}
    save_torch_state_dict(tensors, partial, max_shard_size=SHARD_BYTES)
    config.dtype = next(iter(tensors.values())).dtype
    config.save_pretrained(partial)
    tokens.save_pretrained(partial)
    os.replace(partial, out)
