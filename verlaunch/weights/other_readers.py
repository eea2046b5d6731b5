"""Files that transformers 5 writes, so that transformers 4.57 and vLLM of its time read the same.

    for_older(folder)      # adds rope_theta, rope_scaling, ... to its config.json

transformers 5 keeps all of RoPE in `rope_parameters`, which 4.57 does not know: it takes theta for
10,000 and says nothing. Both forms stand beside each other here, and what 5 makes of them is
compared with what it made before. A tokenizer of 5 (`TokenizersBackend`, `extra_special_tokens` as
a list) does not load in 4.57; under its older names both read it. Files that 4.57 reads stay as
they are.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CONFIG, TOKENIZER = "config.json", "tokenizer_config.json"
OUTSIDE = {"rope_theta", "partial_rotary_factor"}  # of rope_scaling
OF_PHI3 = ("short_factor", "long_factor")  # 4.57 takes these and "type", and no more
RENAMED = {"dtype": "torch_dtype", "num_local_experts": "num_experts"}  # Qwen3-MoE's
CLASSES = {"TokenizersBackend": "PreTrainedTokenizerFast"}


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _write(path: Path, found: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _scaling(rope: Mapping[str, Any], model_type: str) -> dict[str, Any] | None:
    kind = rope.get("rope_type", "default")
    if kind == "default" and "mrope_section" not in rope:
        return None
    if model_type == "phi3":
        return {"type": kind, **{name: rope[name] for name in OF_PHI3 if name in rope}}
    return {name: value for name, value in rope.items() if name not in OUTSIDE}


def _older(config: Mapping[str, Any]) -> dict[str, Any]:
    """What 4.57 reads of a part of config.json that has `rope_parameters`."""
    parameters = config["rope_parameters"]
    of_layers = {name: rope for name, rope in parameters.items() if isinstance(rope, Mapping)}
    rope = of_layers.get("full_attention") or next(iter(of_layers.values()), parameters)
    theta, share = rope.get("rope_theta"), rope.get("partial_rotary_factor")
    local = (of_layers.get("sliding_attention") or {}).get("rope_theta")
    model_type = config.get("model_type", "")
    found = {
        "rope_theta": theta,
        "rope_scaling": _scaling(rope, model_type),
        "partial_rotary_factor": share,
        "rope_local_base_freq": local if model_type.startswith("gemma3") else None,
    }
    if model_type.startswith("gpt_neox"):
        found |= {"rotary_emb_base": theta, "rotary_pct": share}
    if model_type == "modernbert":
        found |= {"global_rope_theta": theta, "local_rope_theta": local}
    if rope.get("rope_type") == "longrope":
        found["original_max_position_embeddings"] = rope.get("original_max_position_embeddings")
    return {name: value for name, value in found.items() if value is not None}


def _both(config: Mapping[str, Any]) -> dict[str, Any]:
    added = _older(config) if isinstance(config.get("rope_parameters"), Mapping) else {}
    for name, older in RENAMED.items():
        if name in config:
            added[older] = config[name]
    inner = {
        name: _both(part)
        for name, part in config.items()
        if name.endswith("_config") and isinstance(part, Mapping)
    }
    return {**config, **added, **inner}


def _ropes(folder: Path) -> list[Any]:
    """As this version of transformers understands them."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder)
    found = [getattr(one, "rope_parameters", None) for one in (config, config.get_text_config())]
    return [
        {name: value for name, value in (rope or {}).items() if name != "type"} for rope in found
    ]


def _tokenizer(folder: Path) -> None:
    found = _read(folder / TOKENIZER)
    older = dict(found)
    if (kind := found.get("tokenizer_class")) in CLASSES:
        older["tokenizer_class"] = CLASSES[kind]
    if isinstance(found.get("extra_special_tokens"), list):
        older["additional_special_tokens"] = older.pop("extra_special_tokens")
    if older != found:
        _write(folder / TOKENIZER, older)


def for_older(folder: Path) -> None:
    """Changes its config.json and tokenizer_config.json in place, where they need it."""
    _tokenizer(folder)
    before = _read(folder / CONFIG)
    if not before:
        return
    meant = _ropes(folder)
    _write(folder / CONFIG, _both(before))
    if _ropes(folder) != meant:  # a family that reads the older form in a way of its own
        _write(folder / CONFIG, before)
