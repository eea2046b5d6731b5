"""What a model folder or a hub id holds, read from its small files: no torch, no weights.

    look("Qwen/Qwen2.5-0.5B").vocab_size  ->  151936

A hub id is looked up in the local cache first; the hub is asked only when the cache has nothing,
once, with a short deadline. Left out on purpose: whether the weights load; only loading tells.
"""

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rewards.models.positions import positions
from verlaunch.errors import UserError
from verlaunch.inputs.caches import cache_of

WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
TOKENIZERS = ("tokenizer*", "*.model", "vocab.*")
# Hubs often hold the same weights in several formats; one is enough.
WANTED = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "*.tiktoken"]
# attention_dropout, resid_pdrop, layerdrop, classifier_dropout, router_jitter_noise, ...
NOISE = re.compile("drop(out|_prob|$)|jitter")
CAUSAL = ("ForCausalLM", "ForConditionalGeneration")


@dataclass(frozen=True)
class Model:
    """heads, head_dim: of attention; None where config.json does not say.

    cached_values: numbers that attention keeps per token (keys and values of all layers).
    """

    name: str  # as the user gave it
    architecture: str
    vocab_size: int
    max_positions: int | None
    folder: Path | None  # None: on the hub, not here yet
    heads: int | None = None
    head_dim: int | None = None
    cached_values: int = 0
    config: dict[str, Any] = field(default_factory=dict)  # what config.json holds


def is_local(name: str) -> bool:
    path = Path(name).expanduser()
    return path.exists() or name.startswith(("/", "./", "../", "~")) or name.count("/") > 1


def look(name: str, flag: str = "--model", whole: bool = True) -> Model:
    """Raises UserError when there is no such model, or it is not a causal language model. Not
    `whole`: config.json is enough."""
    if is_local(name):
        folder = Path(name).expanduser()
        _check_folder(f"{flag} {name}", folder, whole)
        return _model(name, flag, folder / "config.json", folder)
    return _model(name, flag, hub_file(name, flag, "config.json"), None)


def fetch(name: str, flag: str = "--model") -> Path:
    """The model's files on this machine, downloaded when they are not there yet."""
    if is_local(name):
        return Path(name).expanduser().resolve()
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(name, allow_patterns=WANTED))
    except Exception as error:  # the hub client raises many kinds; all mean the same to the user
        raise _unreachable(name, flag, error) from None
    _check_parts(f"{flag} {name}", folder)  # offline, the client gives what it happens to have
    return folder


def noise(config: Mapping[str, Any]) -> dict[str, float]:
    """The dropouts of a config.json that are above 0, and a router's jitter, by dotted name."""
    found: dict[str, float] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{inner}": rate for inner, rate in noise(value).items()}
        elif isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            found |= {name: value} if NOISE.search(name) else {}
    return found


def has_chat_template(folder: Path) -> bool:
    if (folder / "chat_template.jinja").is_file():
        return True
    config = folder / "tokenizer_config.json"
    return config.is_file() and bool(_json(config).get("chat_template"))


def _check_folder(who: str, folder: Path, whole: bool) -> None:
    if not folder.is_dir():
        _check_words(who, folder)
        near = difflib.get_close_matches(folder.name, _neighbours(folder), 1)
        hint = f" Did you mean {folder.parent / near[0]}?" if near else ""
        raise UserError(
            f"{who}: no such folder.{hint} Give a folder with config.json, a tokenizer "
            "and weights, or a hub id such as Qwen/Qwen2.5-0.5B."
        )
    if whole or not (folder / "config.json").is_file():
        _check_parts(who, folder)


def _check_words(who: str, path: Path) -> None:
    """What stands for a folder by mistake: a file in it, or the address of a page."""
    flag, _, name = who.partition(" ")
    if path.is_file():
        raise UserError(f"{who} is a file. Name the folder that it is in: {flag} {path.parent}")
    if page := re.match(r"https?://[^/]+/([^/?#]+/[^/?#]+)", name):
        raise UserError(f"{who} is the address of a page. Use its name: {flag} {page[1]}")


def _check_kind(who: str, folder: Path) -> None:
    """Folders of another kind than a whole Hugging Face model, by what people download."""
    names = {path.name for path in folder.glob("*")}
    if "adapter_config.json" in names and "config.json" not in names:
        base = _json(folder / "adapter_config.json").get("base_model_name_or_path") or "ITS_BASE"
        raise UserError(
            f"{who} is a LoRA adapter, not a model. Use --model {base} --lora_rank N "
            f"actor_rollout_ref.model.lora_adapter_path={folder}, N being its rank (r)."
        )
    weights = any(map(any, map(folder.glob, WEIGHTS)))
    if any(name.endswith(".gguf") for name in names) and not weights:
        raise UserError(
            f"{who} holds a GGUF file, which is for running, not for training. Use the "
            "Hugging Face model that it was made from (config.json and *.safetensors)."
        )


def _check_parts(who: str, folder: Path) -> None:
    _check_kind(who, folder)
    parts = {
        "config.json": ("config.json",),
        "a tokenizer": TOKENIZERS,
        "weights": WEIGHTS,
    }
    missing = [what for what, names in parts.items() if not any(map(any, map(folder.glob, names)))]
    if missing:
        raise UserError(
            f"{who} lacks {', '.join(missing)}; a Hugging Face folder has config.json, "
            "a tokenizer and *.safetensors."
        )


def _neighbours(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.parent.iterdir() if path.is_dir()]
    except OSError:
        return []


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    if not isinstance(found, dict):
        raise UserError(f"{path} holds a {type(found).__name__}, not an object.")
    return found


def _model(name: str, flag: str, path: Path, folder: Path | None) -> Model:
    config = _json(path)
    architectures = config.get("architectures") or []
    if len(architectures) != 1 or (flag == "--model" and not architectures[0].endswith(CAUSAL)):
        raise UserError(
            f"{flag} {name} is {', '.join(architectures) or 'of no architecture'} by its "
            "config.json; PPO needs one causal language model (...ForCausalLM)."
        )
    text = config.get("text_config") or config
    heads, head_dim = text.get("num_attention_heads"), text.get("head_dim")
    if head_dim is None and heads and text.get("hidden_size"):
        head_dim = text["hidden_size"] // heads
    vocabulary = text.get("vocab_size", 32000)
    return Model(
        name, architectures[0], vocabulary, positions(config), folder, heads, head_dim,
        cache_of(config).most, config,
    )  # fmt: skip


def hub_file(name: str, flag: str, file: str) -> Path:
    """A small file of a hub's model, from the local cache if it is there. Raises UserError."""
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    from verlaunch.inputs.data import hub

    try:
        cached = try_to_load_from_cache(name, file)
    except HFValidationError:
        raise UserError(f"{flag} {name}: neither a folder here nor a hub id (org/name).") from None
    if isinstance(cached, str):
        return Path(cached)
    hub.ask(
        name, "model", f"{flag} FOLDER"
    )  # one question with a deadline; the download itself retries for long
    try:
        return Path(hf_hub_download(name, file))
    except Exception as error:  # as in fetch
        raise _unreachable(name, flag, error) from None


def _unreachable(name: str, flag: str, error: Exception) -> UserError:
    reason = " ".join(str(error).split())[:160] or type(error).__name__
    return UserError(
        f"{flag} {name}: not a folder here, and the hub did not give it ({reason}). "
        "Check the name, or download it elsewhere and pass its folder."
    )
