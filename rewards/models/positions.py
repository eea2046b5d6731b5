"""How many positions a model has, as vLLM counts them: its own times its RoPE's factor.

    positions({"max_position_embeddings": 32768,
               "rope_scaling": {"rope_type": "yarn", "factor": 4.0}})      # 131072

vLLM refuses longer texts, and transformers takes as many (vllm/config/model.py:2319). Left out on
purpose: longrope and llama3, whose `max_position_embeddings` is the stretched number already.
"""

from collections.abc import Iterator, Mapping
from typing import Any

STRETCHED_ALREADY = {"su", "longrope", "llama3"}


def text_part(config: Mapping[str, Any]) -> Mapping[str, Any]:
    return config.get("text_config") or config


def ropes(text: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Kind and settings of each RoPE: one for the model, or one for each type of layer.

    transformers 5 writes `rope_parameters`, earlier ones `rope_scaling`, the first ones `type`.
    """
    found = text.get("rope_parameters") or text.get("rope_scaling") or {}
    several = [each for each in found.values() if isinstance(each, Mapping)]
    for rope in several or [found]:
        yield str(rope.get("rope_type") or rope.get("type") or "default"), rope


def positions(config: Mapping[str, Any]) -> int | None:
    """config: of config.json. None where it does not say."""
    text = text_part(config)
    own = text.get("max_position_embeddings") or text.get("n_positions")
    if not own or "gemma3" in text.get("model_type", config.get("model_type", "")):
        return own
    factor = 1.0
    trained = own
    for kind, rope in ropes(text):
        if kind not in STRETCHED_ALREADY:
            factor = rope.get("factor") or factor
        if kind == "yarn":
            outside = text.get("original_max_position_embeddings")
            trained = outside or rope.get("original_max_position_embeddings") or own
    return int(trained * factor)
