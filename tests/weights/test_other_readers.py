"""What an export says to transformers 4.57, beside what it says to 5. Outside these tests 4.57.6
gave the same logits for 18 families made from configs (to 3e-6)."""

import json
from pathlib import Path
from typing import Any

import pytest
import transformers

from verlaunch.weights.other_readers import for_older

YARN = {"factor": 4.0, "original_max_position_embeddings": 32, "rope_type": "yarn"}
LAYERS = {
    "full_attention": {"rope_theta": 1e6, "rope_type": "linear", "factor": 8.0},
    "sliding_attention": {"rope_theta": 2e4, "rope_type": "default"},
}
LONG = {"short_factor": [1.5] * 4, "long_factor": [2.0] * 4}
SIZES = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 2, "pad_token_id": 0}
FORMS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "Qwen2Config",
        {"rope_parameters": {"rope_theta": 1e6, "rope_type": "default"}, "dtype": "bfloat16"},
        {"rope_theta": 1e6, "rope_scaling": None, "torch_dtype": "bfloat16"},
    ),
    (
        "LlamaConfig",
        {"rope_parameters": {"rope_theta": 5e5, **YARN}},
        {"rope_theta": 5e5, "rope_scaling": YARN},
    ),
    (
        "Gemma3TextConfig",
        {"rope_parameters": LAYERS},
        {
            "rope_theta": 1e6,
            "rope_local_base_freq": 2e4,
            "rope_scaling": {"rope_type": "linear", "factor": 8.0},
        },
    ),
    (
        "Phi3Config",
        {
            "rope_parameters": {"rope_theta": 2e4, "rope_type": "longrope", **LONG},
            "max_position_embeddings": 256,
            "original_max_position_embeddings": 64,
        },
        {
            "rope_theta": 2e4,
            "rope_scaling": {"type": "longrope", **LONG},
            "original_max_position_embeddings": 64,
        },
    ),
    (
        "GPTNeoXConfig",
        {"rope_parameters": {"rope_theta": 3e4, "partial_rotary_factor": 0.5}},
        {"rotary_emb_base": 3e4, "rotary_pct": 0.5},
    ),
    (
        "PhiConfig",
        {"rope_parameters": {"rope_theta": 3e4, "partial_rotary_factor": 0.5}},
        {"rope_theta": 3e4, "partial_rotary_factor": 0.5},
    ),
    ("Qwen3MoeConfig", {"num_experts": 4}, {"num_experts": 4, "num_local_experts": 4}),
]


@pytest.mark.parametrize(("kind", "settings", "older"), FORMS, ids=[form[0] for form in FORMS])
def test_a_config_is_written_in_both_forms_and_means_the_same_to_this_version(
    kind: str, settings: dict[str, Any], older: dict[str, Any], tmp_path: Path
) -> None:
    config = getattr(transformers, kind)(**SIZES | settings)
    config.save_pretrained(tmp_path)
    before = json.loads((tmp_path / "config.json").read_text())
    for_older(tmp_path)
    after = json.loads((tmp_path / "config.json").read_text())
    assert {name: after.get(name) for name in older} == older
    assert {name: after[name] for name in before} == before
    read = transformers.AutoConfig.from_pretrained(tmp_path).rope_parameters
    ropes = [read, config.rope_parameters]
    assert [{k: v for k, v in rope.items() if k != "type"} for rope in ropes] == [ropes[1]] * 2


@pytest.mark.parametrize(
    ("settings", "older"),
    [
        (
            {"tokenizer_class": "TokenizersBackend", "extra_special_tokens": ["<a>"]},
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "additional_special_tokens": ["<a>"],
            },
        ),
        ({"tokenizer_class": "Qwen2Tokenizer", "extra_special_tokens": {"image": "<i>"}}, None),
    ],
)
def test_a_tokenizer_of_transformers_5_gets_its_older_names_and_others_stay(
    settings: dict[str, Any], older: dict[str, Any] | None, tmp_path: Path
) -> None:
    file = tmp_path / "tokenizer_config.json"
    file.write_text(json.dumps(settings))
    before = file.read_bytes()
    for_older(tmp_path)
    assert json.loads(file.read_text()) == older if older else file.read_bytes() == before
