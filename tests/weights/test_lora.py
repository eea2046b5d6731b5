"""A continued adapter is scaled as peft scales it, whatever its own config says."""

import json
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from verlaunch.weights import lora
from verlaunch.weights.shards import Shards

KINDS = {
    "rsLoRA": {"use_rslora": True},
    "alpha_pattern": {"alpha_pattern": {"layers.0.self_attn.q_proj": 3, "v_proj": 20}},
    "rank_pattern": {"rank_pattern": {"q_proj": 2}},
    "float alpha": {"lora_alpha": 6.5},
    "all": {"use_rslora": True, "rank_pattern": {"q_proj": 2}, "alpha_pattern": {"q_proj": 5}},
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapters_own_config_counts_and_travels(
    kind: str, tiny_llama: Path, tmp_path: Path
) -> None:
    settings = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"]} | KINDS[kind]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        base = AutoModelForCausalLM.from_pretrained(tiny_llama, dtype=torch.float32)
        model = get_peft_model(base, LoraConfig(**settings, init_lora_weights=False))
    model.save_pretrained(tmp_path / "adapter")
    (tmp_path / lora.OWN).write_bytes((tmp_path / "adapter" / lora.OWN).read_bytes())
    verls: dict[str, Any] = {"r": 4, "lora_alpha": int(cast(float, settings["lora_alpha"]))}
    (tmp_path / lora.SETTINGS).write_text(json.dumps(verls))  # beside it, and not counted

    class Held(dict[str, torch.Tensor]):
        folder = tmp_path

    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    shards = cast(Shards, Held(before))  # merging changes the weights in place
    own = lora.settings_of(tmp_path)
    merged = lora.Merged(shards, own)
    expected = model.merge_and_unload().state_dict()
    assert all(torch.allclose(merged[name], expected[name], atol=1e-5) for name in merged)
    assert own is not None
    lora.write_adapter(shards, own, "org/base", tmp_path / "out")
    written = json.loads((tmp_path / "out" / lora.OWN).read_text())
    changed = {"base_model_name_or_path": "org/base", "inference_mode": True}
    assert written == own | changed
