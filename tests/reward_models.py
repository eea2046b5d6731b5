"""Reward models for the tests: random weights, real architectures, tokenizers of their families.

    make(folder, "Qwen3ForSequenceClassification")     # config.json, weights and tokenizer
    reference(folder, "Qwen3ForSequenceClassification", tokenizer, [{"input_ids": [5, 6]}])

Weights are larger than a fresh model's, so that scores differ by far more than 1e-3.
"""

import copy
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from verlaunch.inputs.demo.tokenizer import make_tokenizer

# Heads of 32: vLLM's attention on the CPU takes no smaller size.
DECODER: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": 512,
    "initializer_range": 0.2,
}
ENCODER: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.2,
}
DEBERTA_V3 = ENCODER | {
    "relative_attention": True,
    "position_biased_input": False,
    "pos_att_type": ["p2c", "c2p"],
    "position_buckets": 16,
    "share_att_key": True,
    "norm_rel_ebd": "layer_norm",
    "type_vocab_size": 0,
    "pooler_hidden_size": 64,
    "pooler_hidden_act": "gelu",
    "layer_norm_eps": 1e-7,
}
GPT2: dict[str, Any] = {
    "n_embd": 64,
    "n_layer": 2,
    "n_head": 2,
    "n_positions": 512,
    "initializer_range": 0.2,
}
XLNET = {"d_model": 64, "n_layer": 2, "n_head": 2, "d_inner": 128, "initializer_range": 0.2}
CONVBERT = ENCODER | {"embedding_size": 64, "head_ratio": 1}
BIG_BIRD = ENCODER | {"block_size": 4, "num_random_blocks": 1}  # sparse from 45 tokens on
GATING = DECODER | {"num_objectives": 19, "gating_hidden_dim": 32, "gating_n_hidden": 3}

LLAMA3 = ("<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>", "<|pad|>")
LLAMA3_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if loop.first -%}{{- '<|begin_of_text|>' -}}{%- endif -%}"
    "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' -}}"
    "{{- message['content'] + '<|eot_id|>' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}"
    "{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' -}}{%- endif -%}"
)


def _bytes(specials: tuple[str, ...]) -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({byte: i for i, byte in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(specials))
    return tokenizer


def _framed(tokenizer: Tokenizer, single: str, pair: str, names: tuple[str, ...]) -> Tokenizer:
    tokens = [(name, tokenizer.token_to_id(name)) for name in names]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=tokens
    )
    return tokenizer


def llama3_tokenizer() -> PreTrainedTokenizerFast:
    """Adds <|begin_of_text|> to every text, as does its template."""
    tokenizer = _bytes(LLAMA3)
    begin = LLAMA3[0]
    _framed(tokenizer, f"{begin} $A", f"{begin} $A {begin} $B", (begin,))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=begin,
        eos_token="<|eot_id|>",
        pad_token="<|pad|>",
        additional_special_tokens=list(LLAMA3[2:4]),
        chat_template=LLAMA3_TEMPLATE,
    )


def bert_tokenizer() -> PreTrainedTokenizerFast:
    """[CLS] question [SEP] answer [SEP], with token types. DeBERTa's is framed alike."""
    names = ("[PAD]", "[CLS]", "[SEP]")
    tokenizer = _framed(_bytes(names), "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", names[1:])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def roberta_tokenizer() -> PreTrainedTokenizerFast:
    """<s> question </s></s> answer </s>, without token types."""
    names = ("<s>", "<pad>", "</s>")
    tokenizer = _framed(_bytes(names), "<s> $A </s>", "<s> $A </s> </s> $B </s>", ("<s>", "</s>"))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        cls_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        pad_token="<pad>",
        model_input_names=["input_ids", "attention_mask"],
    )


def gpt2_tokenizer() -> PreTrainedTokenizerFast:
    """One special token and no padding."""
    end = "<|endoftext|>"
    return PreTrainedTokenizerFast(
        tokenizer_object=_bytes((end,)),
        bos_token=end,
        eos_token=end,
        model_input_names=["input_ids", "attention_mask"],
    )


Make = Callable[[], PreTrainedTokenizerFast]
FAMILIES: dict[str, tuple[str, Make, dict[str, Any]]] = {
    "DebertaV2ForSequenceClassification": ("DebertaV2Config", bert_tokenizer, DEBERTA_V3),
    "BertForSequenceClassification": ("BertConfig", bert_tokenizer, ENCODER),
    "RobertaForSequenceClassification": (
        "RobertaConfig",
        roberta_tokenizer,
        ENCODER | {"max_position_embeddings": 514},
    ),
    "GPT2ForSequenceClassification": ("GPT2Config", gpt2_tokenizer, GPT2),
    "XLNetForSequenceClassification": ("XLNetConfig", bert_tokenizer, XLNET),
    "FNetForSequenceClassification": ("FNetConfig", bert_tokenizer, ENCODER),
    "ConvBertForSequenceClassification": ("ConvBertConfig", bert_tokenizer, CONVBERT),
    "BigBirdForSequenceClassification": ("BigBirdConfig", bert_tokenizer, BIG_BIRD),
    "LlamaForSequenceClassification": ("LlamaConfig", llama3_tokenizer, DECODER),
    "Qwen2ForSequenceClassification": ("Qwen2Config", make_tokenizer, DECODER),
    "Qwen3ForSequenceClassification": ("Qwen3Config", make_tokenizer, DECODER),
    "Qwen2ForRewardModel": ("Qwen2Config", make_tokenizer, DECODER),
    "LlamaForRewardModelWithGating": ("LlamaConfig", llama3_tokenizer, GATING),
}


def _add_linear(weights: dict[str, torch.Tensor], name: str, out: int, into: int) -> None:
    weights[f"{name}.weight"] = torch.randn(out, into) / into**0.5
    weights[f"{name}.bias"] = torch.randn(out)


def _gating_head(config: Any) -> dict[str, torch.Tensor]:
    count, width = config.num_objectives, config.gating_hidden_dim
    weights = {
        "regression_layer.weight": torch.randn(count, config.hidden_size),
        "reward_transform_matrix": torch.randn(count, count),
        "gating.logit_scale": torch.tensor([1.5]),
    }
    sizes = [config.hidden_size, *[width] * config.gating_n_hidden, count]
    for i, (into, out) in enumerate(itertools.pairwise(sizes)):
        _add_linear(weights, f"gating.layers.{i}", out, into)
    return weights


def _reward_head(config: Any) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = {}
    _add_linear(weights, "score.0", config.hidden_size, config.hidden_size)
    _add_linear(weights, "score.2", 1, config.hidden_size)
    return weights


HEADS = {
    "LlamaForRewardModelWithGating": ("LlamaModel", _gating_head),
    "Qwen2ForRewardModel": ("Qwen2Model", _reward_head),
}


def _save_with_head(folder: Path, architecture: str, config: Any) -> None:
    """Classes that transformers lacks: its body, and a head with the published names."""
    body_class, head = HEADS[architecture]
    body = getattr(transformers, body_class)(config)
    weights = {f"model.{name}": value for name, value in body.state_dict().items()}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights | head(config), folder / "model.safetensors", metadata={"format": "pt"})
    config.save_pretrained(folder)
    written = json.loads((folder / "config.json").read_text())
    written |= {"architectures": [architecture], "auto_map": {"AutoModel": f"own.{architecture}"}}
    (folder / "config.json").write_text(json.dumps(written))


def make(folder: Path, architecture: str, **sizes: Any) -> Path:
    """A reward model in `folder`. sizes: changes to its config."""
    config_class, make_tokens, family = FAMILIES[architecture]
    tokenizer = make_tokens()
    tokens = {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "num_labels": 1,
    }
    config = getattr(transformers, config_class)(**tokens | family | sizes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if architecture in HEADS:
            _save_with_head(folder, architecture, config)
        else:
            getattr(transformers, architecture)(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _body(folder: Path, body_class: str) -> tuple[Any, dict[str, torch.Tensor]]:
    """The model below the head, and all the weights."""
    weights = load_file(folder / "model.safetensors")
    config = transformers.AutoConfig.from_pretrained(folder)
    body = getattr(transformers, body_class)(config).eval()
    names = {name.removeprefix("model."): value for name, value in weights.items()}
    body.load_state_dict({name: names[name] for name in body.state_dict()})
    return body, weights


def _gating(folder: Path, tokenizer: Any) -> Callable[[list[int]], float]:
    """ArmoRM as its paper and weights have it, step by step."""
    body, weights = _body(folder, "LlamaModel")
    marker = "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    pattern = tokenizer.encode(marker, add_special_tokens=False)
    last = body.config.gating_n_hidden

    def score(ids: list[int]) -> float:
        hidden = body(torch.tensor([ids])).last_hidden_state[0]
        places = [i for i in range(len(ids)) if ids[i : i + len(pattern)] == pattern]
        gate = hidden[places[-1]]
        for i in range(last + 1):
            gate = gate @ weights[f"gating.layers.{i}.weight"].T
            gate = gate + weights[f"gating.layers.{i}.bias"]
            gate = gate.clamp(min=0) if i < last else gate
        mixed = (gate / 10).softmax(0) * weights["gating.logit_scale"]
        objectives = weights["regression_layer.weight"] @ hidden[-1]
        return float(mixed @ (objectives @ weights["reward_transform_matrix"]))

    return score


def _two_layers(folder: Path) -> Callable[[list[int]], float]:
    """Qwen2ForRewardModel: a linear layer, ReLU, a linear layer, at the last token."""
    body, weights = _body(folder, "Qwen2Model")

    def score(ids: list[int]) -> float:
        last = body(torch.tensor([ids])).last_hidden_state[0, -1]
        inner = (weights["score.0.weight"] @ last + weights["score.0.bias"]).clamp(min=0)
        return float(weights["score.2.weight"] @ inner + weights["score.2.bias"])

    return score


@torch.no_grad()
def reference(
    folder: Path, architecture: str, tokenizer: Any, inputs: list[dict[str, list[int]]]
) -> list[float]:
    """One text at a time without padding: transformers' own forward pass, or one by hand."""
    if architecture == "LlamaForRewardModelWithGating":
        return [_gating(folder, tokenizer)(each["input_ids"]) for each in inputs]
    if architecture == "Qwen2ForRewardModel":
        return [_two_layers(folder)(each["input_ids"]) for each in inputs]
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tensors = [{name: torch.tensor([ids]) for name, ids in each.items()} for each in inputs]
    fresh = (copy.deepcopy(model) for _ in tensors)  # BigBird remembers that it read a short text
    return [float(new(**each).logits[0, 0]) for new, each in zip(fresh, tensors, strict=True)]
