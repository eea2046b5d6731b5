"""Folders that hold no reward model, each refused in one sentence that says what to give instead.

    config = read_config(folder)
    architecture = accept(folder, config, trusts=False)   # "LlamaForSequenceClassification"

Left out on purpose: what only loading can tell (replica.py) and only scoring can (sanity.py).
"""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from rewards.models.profiles import OURS, PER_TOKEN, SUFFIX
from rewards.part import CannotStart

EXAMPLE = "Skywork/Skywork-Reward-V2-Qwen3-0.6B"
# What heads are called in the families of transformers, and in those of classes of their own.
HEADS = (
    "score.",
    "classifier.",
    "classification_head.",
    "logits_proj.",
    "sequence_summary.",
    "regression_layer.",
    "v_head.",
)


def read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CannotStart(f"{path} is not JSON: {error}.") from None
    if not isinstance(found, dict):
        raise CannotStart(f"{path} holds a {type(found).__name__}, not an object.")
    return found


def read_config(folder: Path) -> dict[str, Any]:
    if (folder / "config.json").is_file():
        return read_json(folder / "config.json")
    if (folder / "adapter_config.json").is_file():
        raise CannotStart(
            f"{folder} holds an adapter, not a model. Merge it into its base model "
            "(peft's merge_and_unload), save that, and give the new folder."
        )
    raise CannotStart(
        f"{folder} has no config.json. Give a folder with config.json, a tokenizer and weights, "
        f"or a hub id such as {EXAMPLE}."
    )


def _architecture(folder: Path, config: dict[str, Any]) -> str:
    found = config.get("architectures") or []
    if len(found) == 1:
        return found[0]
    raise CannotStart(
        f"{folder}: config.json names {len(found) or 'no'} architectures, a reward model has one."
    )


def _needs_own_code(config: dict[str, Any], architecture: str) -> bool:
    """Only the code beside the weights can build the model."""
    if "auto_map" not in config or architecture in OURS:
        return False
    if not architecture.endswith(SUFFIX):
        return True
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    return config.get("model_type") not in CONFIG_MAPPING_NAMES


def _check_architecture(
    folder: Path, config: dict[str, Any], architecture: str, trusts: bool
) -> None:
    if architecture == "LLMForSequenceRegression":
        raise CannotStart(
            f"{folder} is Starling as it was published, for no library. Convert it once: "
            f"./train.sh convert {folder} OUT --tokenizer LLAMA_2_CHAT_FOLDER, and "
            "give OUT."
        )
    if architecture.endswith(("ForCausalLM", "ForConditionalGeneration", "LMHeadModel")):
        raise CannotStart(
            f"{folder} is {architecture}, which writes text and scores none. Give a reward model "
            f"(...{SUFFIX} with one label) such as {EXAMPLE}, or let a model judge in words: "
            "--use_api_reward."
        )
    if "ProcessReward" in architecture:
        raise CannotStart(
            f"{folder} is {architecture}, which scores every step of a solution. Give a model that "
            f"scores the whole answer, such as {EXAMPLE}."
        )
    if _needs_own_code(config, architecture) and not trusts:
        raise CannotStart(
            f"{folder} is {architecture}, which only the code that comes with it can run. Read "
            "that code, then add --rm_trust_remote_code."
        )
    known = architecture.endswith(SUFFIX) or architecture in OURS | PER_TOKEN
    if not known and "auto_map" not in config:
        raise CannotStart(
            f"{folder} is {architecture}, not a reward model that can be run here. Give a "
            f"...{SUFFIX} with one label, such as {EXAMPLE}."
        )


def _check_labels(folder: Path, config: dict[str, Any], architecture: str) -> None:
    if not architecture.endswith(SUFFIX):
        return
    names = list((config.get("id2label") or {}).values())
    count = len(names) or config.get("num_labels", 2)  # transformers writes all but its default
    if count != 1:
        shown = f" ({', '.join(map(str, names[:6]))})" if names else ""
        raise CannotStart(
            f"{folder} has {count} labels{shown}; a reward is one number. Give a model with "
            "num_labels 1, or turn the labels into a number in a function of your own: --reward_fn."
        )


def _tensors(path: Path) -> set[str]:
    """The names in a file, from its header: nothing is loaded."""
    try:
        with safe_open(path, "np") as file:
            return set(file.keys())
    except SafetensorError:
        raise CannotStart(
            f"{path} is no safetensors file, perhaps a Git LFS pointer or half a download. "
            "Download it again."
        ) from None


def tensor_names(folder: Path) -> set[str] | None:
    """None where only loading tells: weights in *.bin files. Raises CannotStart without any."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        return set(read_json(index)["weight_map"])
    if files := sorted(folder.glob("*.safetensors")):
        return set().union(*map(_tensors, files))
    if any(folder.glob("*.bin")):
        return None
    raise CannotStart(f"{folder} has no weights (*.safetensors or *.bin).")


def _check_head(folder: Path, architecture: str) -> None:
    names = tensor_names(folder)
    if names is None or any(name.startswith(HEADS) for name in names):
        return
    raise CannotStart(
        f"{folder}: the weights hold no head for {architecture} (no {HEADS[0]}* or {HEADS[1]}*), "
        "so its scores would be random. Give a reward model that was trained."
    )


def accept(folder: Path, config: dict[str, Any], trusts: bool) -> str:
    """The architecture, of a folder that holds one reward model. Raises CannotStart."""
    architecture = _architecture(folder, config)
    _check_architecture(folder, config, architecture, trusts)
    _check_labels(folder, config, architecture)
    if architecture.endswith(SUFFIX) or architecture in OURS:
        _check_head(folder, architecture)
    return architecture
