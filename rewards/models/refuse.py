"""Folders that hold no reward model, each refused in one sentence that says what to give instead.

    config = read_config(folder)
    architecture = accept(folder, config, trusts=False)   # "LlamaForSequenceClassification"

Left out on purpose: what only loading can tell (replica.py) and only scoring can (sanity.py).
"""

from pathlib import Path
from typing import Any

from rewards.models import headers
from rewards.models.headers import read_json
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
VALUE_HEADS = ("value_head.safetensors", "value_head.bin")
VALUE_MODELS = {"LLMForSequenceRegression", "RewardModel"}  # of OpenRLHF; the first Starling's too
WRITERS = ("ForCausalLM", "ForConditionalGeneration", "LMHeadModel")


def _value_head_file(folder: Path) -> Path | None:
    """LLaMA-Factory and TRL keep the head beside a model that writes text."""
    return next((folder / name for name in VALUE_HEADS if (folder / name).is_file()), None)


def _to_convert(folder: Path, what: str) -> CannotStart:
    return CannotStart(
        f"{folder} {what}, which no library loads as a reward model. Convert it once: "
        f"./train.sh convert {folder} OUT, and give OUT."
    )


def read_config(folder: Path) -> dict[str, Any]:
    if (folder / "config.json").is_file():
        return read_json(folder / "config.json")
    if (folder / "adapter_config.json").is_file():
        if head := _value_head_file(folder):
            raise _to_convert(folder, f"is an adapter with a value head ({head.name})")
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


def _value_head(folder: Path, architecture: str) -> str:
    """Where it is, in a few words; "" for a model that has none."""
    if architecture in VALUE_MODELS:
        return "OpenRLHF's way, or Starling's"
    if not architecture.endswith(WRITERS):
        return ""
    if file := _value_head_file(folder):
        return file.name
    held = headers.files(folder) if any(folder.glob("*.safetensors")) else None
    found = sorted(name for name in held or () if name.startswith(("v_head.", "value_head.")))
    return found[-1] if found else ""


def _check_architecture(
    folder: Path, config: dict[str, Any], architecture: str, trusts: bool
) -> None:
    if head := _value_head(folder, architecture):
        raise _to_convert(folder, f"is {architecture} with a value head ({head})")
    if architecture.endswith(WRITERS):
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


def labels(config: dict[str, Any]) -> int:
    """As transformers 5 reads them: `num_labels`, else `id2label`, else 2, its default."""
    count, names = config.get("num_labels"), config.get("id2label")
    if count is not None:
        return int(count)
    return 2 if names is None else len(names)


def _check_labels(folder: Path, config: dict[str, Any], count: int) -> None:
    if count == 1:
        return
    names = list((config.get("id2label") or {}).values())
    shown = f" ({', '.join(map(str, names[:6]))})" if names and len(names) == count else ""
    raise CannotStart(
        f"{folder} has {count} labels{shown}; a reward is one number. Give a model with "
        "num_labels 1, or turn the labels into a number in a function of your own: --reward_fn."
    )


def _check_width(folder: Path, held: dict[str, Path], head: list[str], count: int) -> None:
    """The layer that comes last by its name gives the scores: classifier.out_proj, score.2; where
    a head has several parts, such as XLNet's, in the order of HEADS."""
    shapes = [(name, headers.shape(held[name], name)) for name in head if held[name].is_file()]
    weights = {name: shape[0] for name, shape in shapes if len(shape) == 2}
    if not weights:
        return
    first = next(prefix for prefix in HEADS if any(name.startswith(prefix) for name in weights))
    name = max(name for name in weights if name.startswith(first))
    width = weights[name]
    if width != 1:
        raise CannotStart(
            f"{folder}: the head is {width} wide ({name} in {held[name].name}), and a reward is "
            f"one number. Give a model whose head has one label, such as {EXAMPLE}."
        )
    if count != 1:
        raise CannotStart(
            f"{folder}: the head is one wide ({name}), and config.json says {count} labels, by "
            f'which it does not load. Add "num_labels": 1 to {folder / "config.json"}.'
        )


def _check_head(folder: Path, config: dict[str, Any], architecture: str) -> None:
    """The head's shape counts where it can be seen, else what config.json says."""
    held = headers.files(folder)
    count = labels(config) if architecture.endswith(SUFFIX) else 1
    if held is None:
        return _check_labels(folder, config, count)
    head = [name for name in held if name.startswith(HEADS)]
    if not head:
        _check_labels(folder, config, count)
        raise CannotStart(
            f"{folder}: the weights hold no head for {architecture} (no {HEADS[0]}* or "
            f"{HEADS[1]}*), so its scores would be random. Give a reward model that was trained."
        )
    if architecture.endswith(SUFFIX):
        _check_width(folder, held, head, count)
    _check_labels(folder, config, count)


def glance(folder: Path, trusts: bool) -> None:
    """What small files tell, before weights are downloaded. Raises CannotStart."""
    config = read_config(folder)
    architecture = _architecture(folder, config)
    _check_architecture(folder, config, architecture, trusts)
    if architecture.endswith(SUFFIX):
        _check_labels(folder, config, labels(config))


def accept(folder: Path, config: dict[str, Any], trusts: bool) -> str:
    """The architecture, of a folder that holds one reward model. Raises CannotStart."""
    architecture = _architecture(folder, config)
    _check_architecture(folder, config, architecture, trusts)
    if architecture.endswith(SUFFIX) or architecture in OURS:
        _check_head(folder, config, architecture)
    return architecture
