"""A reward model whose value head no library loads -> ...ForSequenceClassification, exactly.

    convert(Path("rm"), Path("out"))

Told by what holds the head, not by names of classes: any tensor of shape (1, hidden) beside a
body that the family knows. So OpenRLHF's `RewardModel` and `LLMForSequenceRegression` (`score`,
`value_head`), LLaMA-Factory's and TRL's `v_head.summary` (beside a model, or beside an adapter,
which is merged), Starling's `v_head` (starling.py). Names change, numbers do not: the class of
transformers computes the same. Left out: heads of several layers, and OpenRLHF's mean and std,
which shift and stretch all scores alike (--rm_scale does that).
"""

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rewards.models import starling
from rewards.models.headers import read_json
from rewards.models.weights import CannotConvert, Tensors, base_of, load

SUFFIX = "ForSequenceClassification"
SHARD_BYTES = 2 * 10**9  # of a file that is written
TOKENIZER = ("tokenizer*", "*.model", "vocab.*", "merges.txt", "special_tokens_map.json",
             "added_tokens.json", "chat_template*")  # fmt: skip
UNUSED = ("lm_head.weight", "rotary_emb.inv_freq", "masked_bias")  # ends of names
HEAD_LIKE = re.compile("head|score|summary|value|classif|reward")
BUFFERS = {"mean", "std"}
OF_CODE = ("auto_map", "id2label", "label2id", "num_labels", "problem_type")
_SHOWN = 3  # names in a message


def _config(source: Path) -> dict[str, Any]:
    path = source / "config.json"
    if not path.is_file():
        raise CannotConvert(f"{source} has no config.json. Give a reward model's whole folder.")
    plain = read_json(path)
    found = (plain.get("architectures") or ["no architecture"])[0]
    if found.endswith(SUFFIX):
        raise CannotConvert(f"{source} is {found} already. Use it: --reward_model {source}")
    return plain


def _empty(source: Path, plain: Mapping[str, Any]) -> Any:
    """The family's class with a head of one label, without weights."""
    import torch
    from transformers import CONFIG_MAPPING, AutoModelForSequenceClassification

    kind = plain.get("model_type", "")
    if kind not in CONFIG_MAPPING:
        raise CannotConvert(f"{source}: transformers knows no family {kind!r} (model_type).")
    kept = {name: value for name, value in plain.items() if name not in OF_CODE}
    config = CONFIG_MAPPING[kind](**kept | {"num_labels": 1})
    try:
        with torch.device("meta"):
            return AutoModelForSequenceClassification.from_config(config)
    except ValueError:
        raise CannotConvert(f"{source}: {kind} has no class in transformers for a head.") from None


def _body(source: Path, model: Any, tensors: Tensors) -> tuple[str, str]:
    """What its names begin with: here, and in the class. Of two copies the outer one."""
    embedding = model.get_input_embeddings()
    known = next(name for name, module in model.named_modules() if module is embedding)
    prefix = model.base_model_prefix + "."
    anchor = known.removeprefix(prefix) + ".weight"
    found = [name.removesuffix(anchor) for name in tensors if name.endswith(anchor)]
    if not found:
        raise CannotConvert(f"{source} has no {anchor}: its weights are of another family.")
    return min(found, key=lambda begin: (begin.count("."), begin)), prefix


def _head(source: Path, tensors: Tensors, width: int) -> str:
    found = [name for name, tensor in tensors.items() if tuple(tensor.shape) == (1, width)]
    if len(found) == 1:
        return found[0].removesuffix(".weight")
    what = f"{len(found)} ({', '.join(sorted(found)[:_SHOWN])})" if found else _others(tensors)
    raise CannotConvert(
        f"{source}: a value head is one tensor of shape (1, {width}), and it has {what}. Give a "
        f"reward model with one, or a ...{SUFFIX} with one label."
    )


def _others(tensors: Tensors) -> str:
    """What else may be a head: GRM's has two layers, a classifier several labels."""
    names = sorted(n for n in tensors if HEAD_LIKE.search(n) and not n.endswith(UNUSED))
    found = [f"{name} {tuple(tensors[name].shape)}" for name in names if name.endswith("weight")]
    return f"another kind of head: {', '.join(found[:_SHOWN])}" if found else "none"


def _renamed(source: Path, model: Any, tensors: Tensors) -> Tensors:
    old, new = _body(source, model, tensors)
    head = _head(source, tensors, model.config.get_text_config().hidden_size)
    renamed: Tensors = {}
    for name, tensor in tensors.items():
        if name in BUFFERS or name.endswith(UNUSED):
            continue
        if name.startswith(head + "."):
            renamed["score" + name.removeprefix(head)] = tensor
        elif name.startswith(old):
            renamed[new + name.removeprefix(old)] = tensor
        elif not name.startswith("model."):  # Starling's second copy
            renamed[name] = tensor
    return renamed


def _check(source: Path, found: Tensors, model: Any) -> None:
    """Families that transformers 5 stores otherwise than it computes (experts) are checked when
    they are loaded."""
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping

    if get_checkpoint_conversion_mapping(model.config.model_type):
        return
    expected = {name: tensor.shape for name, tensor in model.state_dict().items()}
    both = expected.keys() & found.keys()
    kinds = {
        "without": expected.keys() - found.keys(),
        "with unknown": found.keys() - expected.keys() - {"score.bias"},
        "with other shapes than config.json says of": {
            name for name in both if expected[name] != found[name].shape
        },
    }
    for what, names in kinds.items():
        if names:
            some = ", ".join(sorted(names)[:_SHOWN])
            raise CannotConvert(
                f"{source} is no whole {type(model).__name__}: {len(names)} tensors differ; it "
                f"comes {what} {some}. Download all of its files again."
            )


def _written(plain: Mapping[str, Any], model: Any, tensors: Tensors) -> dict[str, Any]:
    """config.json. A model that is read at its last token, which pads as well, names no padding:
    transformers would read before it."""
    kept = {name: value for name, value in plain.items() if name not in OF_CODE}
    if kept.get("pad_token_id") == kept.get("eos_token_id"):
        kept.pop("pad_token_id", None)
    dtype = str(next(iter(tensors.values())).dtype).removeprefix("torch.")
    return kept | {
        "architectures": [type(model).__name__],
        "num_labels": 1,
        "id2label": {"0": "LABEL_0"},
        "label2id": {"LABEL_0": 0},
        "dtype": dtype,
        "torch_dtype": dtype,
    }


def _copy_tokenizer(source: Path, out: Path) -> None:
    found = {path for pattern in TOKENIZER for path in source.glob(pattern) if path.is_file()}
    if not any(path.name.startswith("tokenizer") or path.suffix == ".model" for path in found):
        raise CannotConvert(
            f"{source} has no tokenizer. Name a folder that has: --tokenizer FOLDER"
        )
    for path in found:
        shutil.copy(path, out / path.name)


def convert(source: Path, out: Path, tokenizer: Path | None = None) -> None:
    """Writes `out`, whole or not at all. tokenizer: a folder that has it, None for `source`.

    Raises CannotConvert.
    """
    from huggingface_hub import save_torch_state_dict

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CannotConvert(f"{out} exists already. Name a folder that does not.")
    plain = _config(base_of(source))
    tensors = load(source)
    is_starling = starling.is_one(plain, tensors)
    plain |= starling.changes(plain) if is_starling else {}
    model = _empty(source, plain)
    renamed = _renamed(source, model, tensors)
    _check(source, renamed, model)
    tokens = starling.tokenizer(tokenizer or source) if is_starling else None
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        if tokens is not None:
            tokens.save_pretrained(partial)
        else:
            _copy_tokenizer(tokenizer or source, partial)
        save_torch_state_dict(renamed, partial, max_shard_size=SHARD_BYTES)
        config = json.dumps(_written(plain, model, renamed), indent=2)
        (partial / "config.json").write_text(config + "\n", encoding="utf-8")
        os.replace(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
