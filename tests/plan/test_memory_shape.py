"""The sizes of a model from its config.json: exact, without weights, asked once."""

import json
import subprocess
import sys
from typing import Any

import pytest
import transformers

from tests import sizes_here
from verlaunch.errors import UserError
from verlaunch.inputs.demo.sizes import CONFIG
from verlaunch.plan.memory import meta, shape
from verlaunch.plan.memory.shape import Linear, shape_of

QWEN = {
    "model_type": "qwen2",
    "architectures": ["Qwen2ForCausalLM"],
    "vocab_size": 151936,
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
}
SEVEN = {
    **QWEN,
    "vocab_size": 152064,
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "tie_word_embeddings": False,
}
LLAMA = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 128256,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "tie_word_embeddings": False,
}
SMALL = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
EXPERTS = {
    "model_type": "qwen3_moe",
    **SMALL,
    "num_experts": 8,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "tie_word_embeddings": False,
}


@pytest.mark.parametrize(
    ("config", "published"),
    [(QWEN, 494_032_768), (SEVEN, 7_615_616_512), (LLAMA, 8_030_261_248)],
    ids=["Qwen2.5-0.5B", "Qwen2.5-7B", "Llama-3.1-8B"],
)
def test_counts_are_those_that_were_published(config: dict[str, Any], published: int) -> None:
    assert meta.sizes(config)["parameters"] == published


@pytest.mark.parametrize("family", ["qwen2", "qwen3", "llama", "mistral", "gemma2", "phi3"])
@pytest.mark.parametrize("tied", [True, False])
def test_counts_are_those_of_the_real_model(family: str, tied: bool) -> None:
    config = {"model_type": family, **SMALL, "tie_word_embeddings": tied}
    real = transformers.AutoModelForCausalLM.from_config(
        transformers.AutoConfig.for_model(**config)
    )
    found = meta.sizes(config)
    assert found["parameters"] == sum(weight.numel() for weight in real.parameters())
    assert found["embedding"] == 96 * 32
    assert found["head"] == (0 if tied else 96 * 32)


def test_one_token_passes_through_its_experts_only() -> None:
    real = transformers.AutoModelForCausalLM.from_config(
        transformers.AutoConfig.for_model(**EXPERTS)
    )
    one_expert = 3 * 32 * 16  # gate, up and down
    found = meta.sizes(EXPERTS)
    assert found["parameters"] == sum(weight.numel() for weight in real.parameters())
    assert found["parameters"] - found["active"] == 3 * (8 - 2) * one_expert
    assert found["intermediate"] == 2 * 16


def test_linear_layers_are_told_apart_by_their_last_word() -> None:
    found = {one["name"]: one for one in meta.sizes({**QWEN, "num_hidden_layers": 2})["linears"]}
    assert found["down_proj"] == {"name": "down_proj", "inputs": 4864, "outputs": 896, "count": 2}
    assert found["k_proj"]["outputs"] == 128
    assert "lm_head" not in found


def test_norms_of_queries_and_keys_count_once_per_head() -> None:
    assert meta.sizes({"model_type": "qwen2", **SMALL})["norms"] == 2 * 32
    assert meta.sizes({"model_type": "qwen3", **SMALL})["norms"] == 2 * 32 + 4 * 8 + 2 * 8
    assert meta.sizes({"model_type": "gemma2", **SMALL})["norms"] == 4 * 32


def test_the_language_model_inside_a_vision_model_gives_the_sizes() -> None:
    text = {"model_type": "qwen2_vl_text", **SMALL}
    seeing = {
        "model_type": "qwen2_vl",
        "text_config": text,
        "vision_config": {"depth": 1, "embed_dim": 16, "hidden_size": 32, "num_heads": 2},
    }
    found = meta.sizes(seeing)
    assert (found["layers"], found["hidden"], found["vocab"]) == (3, 32, 96)
    assert found["parameters"] > meta.sizes({"model_type": "qwen2", **SMALL})["parameters"]


def test_a_model_stored_quantized_is_trained_whole() -> None:
    stored = {**QWEN, "num_hidden_layers": 1, "quantization_config": {"quant_method": "gptq"}}
    assert (
        meta.sizes(stored)["parameters"]
        == meta.sizes({**QWEN, "num_hidden_layers": 1})["parameters"]
    )


@pytest.fixture(autouse=True)
def in_a_child(monkeypatch) -> None:
    """As a start asks, other tests do not: conftest.py."""
    monkeypatch.setattr(shape, "_child", sizes_here.child)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VERLAUNCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_answer_is_asked_for_once_and_kept(cache, monkeypatch) -> None:
    first = shape_of(CONFIG, "demo")
    assert first.linears[0] == Linear("q_proj", 128, 128, 2)
    assert first.stored == 4
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    again = shape_of(CONFIG, "another name")
    assert (again.name, again.parameters) == ("another name", first.parameters)
    kept = next((cache / "shapes").iterdir())
    kept.write_text(kept.read_text()[:40])  # damaged: it is asked for again
    with pytest.raises(UserError, match="sizes of demo are not known"):
        shape_of(CONFIG, "demo")


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch) -> None:
    answer = meta.sizes(CONFIG)
    done = subprocess.CompletedProcess([], 0, stdout=json.dumps(answer), stderr="")
    monkeypatch.setattr(shape.subprocess, "run", lambda *_, **__: done)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VERLAUNCH_CACHE", str(tmp_path / "file"))
    assert shape_of(CONFIG, "demo").parameters == answer["parameters"]


def test_a_model_with_code_of_its_own_is_refused_in_one_sentence(cache) -> None:
    own = {"model_type": "homegrown", "auto_map": {"AutoModelForCausalLM": "m.Model"}}
    with pytest.raises(UserError) as told:
        shape_of(own, "me/homegrown")
    assert str(told.value).startswith("The sizes of me/homegrown are not known: ")
    assert str(told.value).count("\n") == 0
    assert "homegrown" in str(told.value).split("known: ")[1]
    assert not (cache / "shapes").exists()


def test_the_launchers_side_needs_no_torch() -> None:
    code = "import sys, verlaunch.plan.guards.memory_needed; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_cache_is_told_by_the_config_or_left_to_keys_and_values_of_all_heads() -> None:
    gpt2 = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": 96,
            "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64}  # fmt: skip
    by_other_names, usual = shape_of(gpt2, "gpt2"), shape_of(QWEN, "qwen")
    assert by_other_names.cache is None and by_other_names.layers == 3
    assert usual.cache is not None and usual.cache.most == 2 * 24 * 2 * 64
