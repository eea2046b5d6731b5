"""What a model's attention keeps per token, from its config.json: latent, hybrid, sliding windows.

    cache = cache_of(config)
    cache.per_token(8192)       # numbers, averaged over a sequence of that many tokens

DeepSeek-V2 and its kin keep one latent vector per token and layer (arXiv 2405.04434), for all heads
together; Qwen3-Next's linear layers keep a state of fixed size per sequence; a layer with a sliding
window keeps its window, as vLLM does since it has a cache per kind of layer
(vllm/v1/core/kv_cache_utils.py). Left out on purpose: layers that share their keys and values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SLIDING = ("sliding_attention", "chunked_attention")
FULL = ("full_attention", "attention")
# Of configs without `layer_types`: every n-th layer sees all tokens, the others their window.
PATTERNS = {"gemma2": 2, "gemma3": 6, "gemma3_text": 6}


@dataclass(frozen=True)
class Cache:
    """each: numbers of one layer and one token.

    full, sliding: layers. window: tokens that a sliding layer keeps. state: numbers of a sequence
    in all layers that keep no tokens. heads: that a layer's numbers are split by; 0 where each card
    keeps all (a latent vector).
    """

    each: int
    heads: int
    full: int
    sliding: int = 0
    window: int = 0
    state: int = 0

    def per_token(self, length: int, tp: int = 1) -> float:
        """On one of `tp` cards, of a sequence of `length` tokens. Below one head per card heads are
        copied."""
        held = self.full * length + self.sliding * min(length, self.window)
        return (held * self.each / max(1, min(tp, self.heads)) + self.state / tp) / length

    @property
    def most(self) -> int:
        """Numbers per token of a sequence that no window cuts, without states."""
        return (self.full + self.sliding) * self.each


def cache_of(config: Mapping[str, Any]) -> Cache:
    text = config.get("text_config") or config
    kinds = _kinds(text)
    heads = text.get("num_attention_heads") or 0
    sliding = sum(kind in SLIDING for kind in kinds)
    full = sum(kind in FULL for kind in kinds)
    rest = len(kinds) - sliding - full
    window = text.get("sliding_window") or text.get("attention_chunk_size") or 0
    if not window:
        full, sliding = full + sliding, 0
    if latent := text.get("kv_lora_rank"):
        return Cache(latent + (text.get("qk_rope_head_dim") or 0), 0, len(kinds))
    head_dim = text.get("head_dim") or (text.get("hidden_size") or 0) // max(1, heads)
    keys = text.get("num_key_value_heads") or heads
    return Cache(2 * keys * head_dim, keys, full, sliding, window, rest * _state(text))


def _state(text: Mapping[str, Any]) -> int:
    """Of a linear layer: a matrix per head (Qwen3-Next's gated delta rule)."""
    names = ("linear_num_value_heads", "linear_key_head_dim", "linear_value_head_dim")
    heads, keys, values = (text.get(name) or 0 for name in names)
    return heads * keys * values


def _kinds(text: Mapping[str, Any]) -> Sequence[str]:
    """Of each layer."""
    layers = text.get("num_hidden_layers") or 0
    if named := text.get("layer_types"):
        return named
    if every := text.get("full_attention_interval"):
        return [FULL[0] if n % every == 0 else "linear_attention" for n in range(1, layers + 1)]
    every = text.get("sliding_window_pattern") or PATTERNS.get(str(text.get("model_type")))
    if every and text.get("sliding_window"):
        return [FULL[0] if n % every == 0 else SLIDING[0] for n in range(1, layers + 1)]
    if text.get("sliding_window") and text.get("use_sliding_window", True):
        seen = text.get("max_window_layers", 0) if "use_sliding_window" in text else 0
        return [FULL[0] if n < seen else SLIDING[0] for n in range(layers)]
    return [FULL[0]] * layers
