"""What attention keeps per token, by the families that keep less than keys and values of all."""

from typing import Any

import pytest

from verlaunch.inputs.caches import cache_of

# Sizes of the published config.json files.
QWEN = {"num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4,
        "hidden_size": 3584}  # fmt: skip
V2_LITE = {"num_hidden_layers": 27, "num_attention_heads": 16, "num_key_value_heads": 16,
           "hidden_size": 2048, "kv_lora_rank": 512, "qk_rope_head_dim": 64}  # fmt: skip
NEXT = {"num_hidden_layers": 48, "num_attention_heads": 16, "num_key_value_heads": 2,
        "head_dim": 256, "full_attention_interval": 4, "linear_num_value_heads": 32,
        "linear_key_head_dim": 128, "linear_value_head_dim": 128}  # fmt: skip
GEMMA_3 = {"text_config": {
    "model_type": "gemma3_text", "num_hidden_layers": 34, "num_attention_heads": 8,
    "num_key_value_heads": 4, "head_dim": 256, "sliding_window": 1024}}  # fmt: skip
MISTRAL_1 = {"num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
             "hidden_size": 4096, "sliding_window": 4096}  # fmt: skip


def naive(config: dict[str, Any]) -> int:
    text = config.get("text_config") or config
    head_dim = text.get("head_dim") or text["hidden_size"] // text["num_attention_heads"]
    return 2 * text["num_hidden_layers"] * text["num_key_value_heads"] * head_dim


def test_keys_and_values_of_all_layers_are_the_usual() -> None:
    cache = cache_of(QWEN)
    assert cache.per_token(1000) == cache.most == naive(QWEN) == 2 * 28 * 4 * 128
    assert cache.per_token(1000, tp=2) == naive(QWEN) / 2
    assert cache.per_token(1000, tp=8) == naive(QWEN) / 4  # heads are copied below one per card


def test_a_latent_vector_is_kept_for_all_heads_together_on_every_card() -> None:
    cache = cache_of(V2_LITE)
    assert cache.per_token(1000) == cache.per_token(1000, tp=8) == 27 * (512 + 64)
    assert naive(V2_LITE) / cache.per_token(1000) == pytest.approx(7.1, abs=0.05)


def test_linear_layers_keep_a_state_and_no_tokens() -> None:
    cache, state = cache_of(NEXT), 36 * 32 * 128 * 128
    assert cache.full == 12 and cache.most == naive(NEXT) / 4
    assert cache.per_token(10_000) == cache.most + state / 10_000
    assert cache.per_token(10_000, tp=2) == cache.most / 2 + state / 2 / 10_000


@pytest.mark.parametrize("length", [512, 1024, 8192])
def test_five_of_six_layers_of_gemma_3_keep_their_window(length: int) -> None:
    cache = cache_of(GEMMA_3)
    assert (cache.full, cache.sliding) == (5, 29)
    held = 5 * length + 29 * min(length, 1024)
    assert cache.per_token(length) * length == pytest.approx(held * 2 * 4 * 256)
    assert cache.most == naive(GEMMA_3)


def test_layers_are_counted_by_their_types_where_they_are_named() -> None:
    types = ["sliding_attention"] * 3 + ["full_attention"]
    cache = cache_of(QWEN | {"num_hidden_layers": 4, "layer_types": types, "sliding_window": 100})
    assert (cache.full, cache.sliding, cache.window) == (1, 3, 100)


def test_a_window_that_is_off_or_everywhere() -> None:
    assert cache_of(MISTRAL_1).sliding == 32
    off = QWEN | {"sliding_window": 4096, "use_sliding_window": False, "max_window_layers": 28}
    assert (cache_of(off).full, cache_of(off).sliding) == (28, 0)
    on = QWEN | {"sliding_window": 4096, "use_sliding_window": True, "max_window_layers": 20}
    assert (cache_of(on).full, cache_of(on).sliding) == (20, 8)
