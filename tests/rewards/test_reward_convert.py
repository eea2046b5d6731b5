"""Reward models with a value head of their own: told by what holds it, converted, equal after."""

import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from rewards.models.convert import convert
from rewards.models.heads import readout
from rewards.models.probe import probe
from rewards.models.replica import _load
from rewards.models.scorer import Encoded
from rewards.models.weights import CannotConvert
from rewards.part import CannotStart
from tests.reward_models import DECODER, llama3_tokenizer

IDS = [7, 99, 31, 250, 12]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that writes text, untied, with a tokenizer."""
    folder, tokenizer = tmp_path_factory.mktemp("base"), llama3_tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        LlamaForCausalLM(LlamaConfig(**DECODER | {"vocab_size": len(tokenizer)})).save_pretrained(
            folder
        )
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def head() -> torch.Tensor:
    return torch.randn(1, 64, generator=torch.Generator().manual_seed(4))


BIAS = torch.tensor([0.75])


def copied(base: Path, out: Path, tensors: dict[str, torch.Tensor] | None = None) -> Path:
    """The base with other weights, or only its small files."""
    out.mkdir()
    for path in base.iterdir():
        if path.suffix != ".safetensors":
            (out / path.name).write_bytes(path.read_bytes())
    if tensors is not None:
        save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    return out


def openrlhf(
    base: Path, out: Path, head: torch.Tensor, name: str, architecture: str, prefix: str = ""
) -> Path:
    held = load_file(base / "model.safetensors")
    held.pop("lm_head.weight")
    held |= {f"{name}.weight": head}
    copied(base, out, {f"{prefix}{key}": tensor for key, tensor in held.items()})
    plain = json.loads((out / "config.json").read_text()) | {"mean": 0.3, "std": 2.0}
    plain |= {"architectures": [architecture], "auto_map": {"AutoModel": "x.Y"}}
    (out / "config.json").write_text(json.dumps(plain))
    return out


def summary(head: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"v_head.summary.weight": head, "v_head.summary.bias": BIAS}


def beside(base: Path, out: Path, head: torch.Tensor) -> Path:
    copied(base, out, load_file(base / "model.safetensors"))
    save_file(summary(head), out / "value_head.safetensors")
    return out


def inside(base: Path, out: Path, head: torch.Tensor) -> Path:
    return copied(base, out, load_file(base / "model.safetensors") | summary(head))


def adapter(base: Path, out: Path, head: torch.Tensor) -> Path:
    copied(base, out)
    (out / "config.json").unlink()
    model = AutoModelForCausalLM.from_pretrained(base)
    settings = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj"], init_lora_weights=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        get_peft_model(model, settings).save_pretrained(out)
    save_file(summary(head), out / "value_head.safetensors")
    return out


def by_hand(base: Path, source: Path, head: torch.Tensor, bias: float) -> float:
    from peft import PeftModel

    model = AutoModelForCausalLM.from_pretrained(base).eval()
    if (source / "adapter_config.json").is_file():
        model = PeftModel.from_pretrained(model, source).eval()
    with torch.no_grad():
        hidden = model(torch.tensor([IDS]), output_hidden_states=True).hidden_states[-1]
    return float(head[0] @ hidden[0, -1]) + bias


KINDS = {
    "RewardModel, score": lambda *a: openrlhf(*a, "score", "RewardModel"),
    "RewardModel, any name": lambda *a: openrlhf(*a, "my_head", "RewardModel"),
    "LLMForSequenceRegression": lambda *a: openrlhf(*a, "value_head", "LLMForSequenceRegression"),
    "LLMForSequenceRegression, inside": lambda *a: openrlhf(
        *a, "a_head", "LLMForSequenceRegression", "reward."
    ),
    "RewardModel, inside": lambda *a: openrlhf(*a, "value_head", "RewardModel", "module.inner."),
    "LLaMA-Factory, full": beside,
    "LLaMA-Factory, LoRA": adapter,
    "TRL, one file": inside,
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_value_head_is_named_and_converted_to_the_same_scores(
    kind: str, tmp_path: Path, base: Path, head: torch.Tensor
) -> None:
    source, out = KINDS[kind](base, tmp_path / "rm", head), tmp_path / "out"
    with pytest.raises(CannotStart, match=r"value head .*Convert it once: .* convert") as caught:
        probe(source)
    assert "Starling" not in str(caught.value) or kind.split(",")[0] in str(caught.value)
    convert(source, out)
    found = probe(out)
    assert found.architecture == "LlamaForSequenceClassification" and found.input == "chat"
    model = _load(out, found, "cpu")
    inputs = {"input_ids": torch.tensor([IDS]), "attention_mask": torch.ones(1, len(IDS)).long()}
    with torch.no_grad():
        score = float(readout(model)(model, inputs, [Encoded(IDS)])[0])
    bias = 0.0 if "R" in kind[:1] or "LLM" in kind[:3] else float(BIAS)
    assert score == pytest.approx(by_hand(base, source, head, bias), rel=1e-4)
    assert (out / "tokenizer.json").read_bytes() == (base / "tokenizer.json").read_bytes()


def test_a_head_that_ends_a_text_by_its_padding_token_is_still_read_there(
    tmp_path: Path, base: Path, head: torch.Tensor
) -> None:
    source = openrlhf(base, tmp_path / "rm", head, "score", "RewardModel")
    plain = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps(plain | {"pad_token_id": 2, "eos_token_id": 2}))
    convert(source, tmp_path / "out")
    assert "pad_token_id" not in json.loads((tmp_path / "out/config.json").read_text())


def test_heads_of_several_numbers_or_layers_are_no_value_head(tmp_path: Path, base: Path) -> None:
    body = load_file(base / "model.safetensors")
    layers = {"v_head.summary.0.weight": (32, 64), "v_head.summary.2.weight": (1, 32)}
    held = body | {name: torch.randn(*shape) for name, shape in layers.items()}
    with pytest.raises(
        CannotConvert, match=r"of shape \(1, 64\), and it has another kind of"
    ) as no:
        convert(copied(base, tmp_path / "rm", held), tmp_path / "out")
    assert all(f"{name} {shape}" in str(no.value) for name, shape in layers.items())
    with pytest.raises(CannotConvert, match=r"of shape \(1, 64\), and it has none"):
        convert(copied(base, tmp_path / "bare", body), tmp_path / "out")
    assert not (tmp_path / "out").exists()
