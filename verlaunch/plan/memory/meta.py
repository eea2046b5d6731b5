"""The child of shape.py: a config.json on stdin, the sizes of its model as JSON on stdout.

    python -m verlaunch.plan.memory.meta < config.json

Everything is counted on the model that transformers builds, on the meta device, so that biases,
norms, tied weights and experts are right for every family that it knows. `{"error": "..."}` for
one that it does not.
"""

import json
import re
import sys
from collections import Counter
from typing import Any

import torch
import transformers
from transformers.pytorch_utils import Conv1D

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")


def build(config: dict[str, Any]) -> Any:
    """The model without weights. Raises ValueError where transformers has none of this kind."""
    # What is stored quantized is trained whole; code of the model's own is never run.
    plain = {k: v for k, v in config.items() if k not in ("quantization_config", "auto_map")}
    if not plain.get("model_type"):
        raise ValueError("its config.json names no model_type.")
    known = transformers.AutoConfig.for_model(**plain)
    kinds = transformers.AutoModelForCausalLM, transformers.AutoModelForImageTextToText
    # A vision-language model has both; verl trains the whole one (utils/model.py:722).
    seeing = hasattr(known, "vision_config")
    kind = next((k for k in kinds[:: -1 if seeing else 1] if type(known) in k._model_mapping), None)
    if kind is None:
        raise ValueError(f"{plain['model_type']} is no causal language model of transformers.")
    with torch.device("meta"):
        return kind.from_config(known, trust_remote_code=False)


def first(config: Any, *names: str) -> Any:
    """The first of these settings that there is; 0 without any."""
    return next((v for v in (getattr(config, name, None) for name in names) if v), 0)


def linears(model: Any, head: Any) -> list[dict[str, Any]]:
    found: Counter[tuple[str, int, int]] = Counter()
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear | Conv1D) and module is not head:
            rows, columns = module.weight.shape
            sizes = (columns, rows) if isinstance(module, torch.nn.Linear) else (rows, columns)
            found[(name.rsplit(".", 1)[-1], *sizes)] += 1
    return [
        {"name": name, "inputs": inputs, "outputs": outputs, "count": count}
        for (name, inputs, outputs), count in found.items()
    ]


def norms(model: Any, text: Any) -> int:
    """Numbers that one decoder layer normalizes per token; queries and keys once per head."""
    times = {"q_norm": text.num_attention_heads, "k_norm": first(text, "num_key_value_heads") or 1}
    layers = [
        (name.rsplit(".", 1)[-1], next(module.parameters()).numel())
        for name, module in model.named_modules()
        if "Norm" in type(module).__name__ and re.search(r"\.\d+\.", name) and "vis" not in name
    ]
    # A norm over the whole projection, as in OLMo 2, is as wide as all heads together.
    head = first(text, "head_dim") or text.hidden_size // text.num_attention_heads
    widths = [size * times.get(name, 1) if size == head else size for name, size in layers]
    return sum(widths) // text.num_hidden_layers


def idle(model: Any, text: Any) -> int:
    """Weights of the experts that one token does not pass through."""
    experts, chosen = first(text, *EXPERTS), first(text, "num_experts_per_tok")
    if not experts or not chosen:
        return 0
    # Experts of all kinds lie under "experts", fused into one tensor or not.
    weights = [p for name, p in model.named_parameters() if ".experts." in name]
    return sum(p.numel() for p in weights) * (experts - chosen) // experts


def width(text: Any) -> int:
    """What one token's feed-forward layer is wide, its experts added up."""
    dense = first(text, "intermediate_size", "n_inner") or 4 * text.hidden_size
    chosen = first(text, "num_experts_per_tok")
    if not chosen or not first(text, *EXPERTS):
        return dense
    one = first(text, "moe_intermediate_size") or dense
    shared = first(text, "shared_expert_intermediate_size")
    return chosen * one + (shared or first(text, "n_shared_experts") * one)


def sizes(config: dict[str, Any]) -> dict[str, Any]:
    model = build(config)
    text = model.config.get_text_config()
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    tied = head is None or head.weight is embedding.weight
    parameters = sum(p.numel() for p in model.parameters())
    heads = text.num_attention_heads
    stored = config.get("dtype") or config.get("torch_dtype")
    return {
        "name": "",
        "parameters": parameters,
        "embedding": embedding.weight.numel(),
        "head": 0 if tied else head.weight.numel(),
        "layers": text.num_hidden_layers,
        "hidden": text.hidden_size,
        "intermediate": width(text),
        "vocab": text.vocab_size,
        "heads": heads,
        "kv_heads": first(text, "num_key_value_heads") or heads,
        "head_dim": first(text, "head_dim") or text.hidden_size // heads,
        "linears": linears(model, head),
        "active": parameters - idle(model, text),
        "norms": norms(model, text),
        "stored": BYTES.get(str(stored).removeprefix("torch."), 4),
    }


def answer(text: str) -> dict[str, Any]:
    try:
        return sizes(json.loads(text))
    except Exception as error:  # a family's own code may raise anything on an odd config
        return {"error": str(error).strip() or type(error).__name__}


def main() -> int:
    print(json.dumps(answer(sys.stdin.read())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
