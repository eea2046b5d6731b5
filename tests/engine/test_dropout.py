"""Of every family with dropout, a training pass computes what a plain pass does."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
import transformers

from verlaunch.engine.training import dropout

SMALL = {"vocab_size": 40, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
         "num_attention_heads": 2, "num_key_value_heads": 2, "pad_token_id": 0}  # fmt: skip
OPT = {"word_embed_proj_dim": 32, "ffn_dim": 64, "dropout": 0.3, "layerdrop": 0.3}
GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 2}
PHI = {"resid_pdrop": 0.3, "embd_pdrop": 0.3}
GRANITE = {"attention_dropout": 0.3}
STARCODER = {"residual_dropout": 0.3, "embedding_dropout": 0.3, "attention_dropout": 0.3}
MIXTRAL = {"router_jitter_noise": 0.5, "num_local_experts": 4}
FALCON = {"hidden_dropout": 0.3, "attention_dropout": 0.3}
NEOX = {"hidden_dropout": 0.3, "attention_dropout": 0.3, "classifier_dropout": 0.3}


@contextmanager
def seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def is_noisy(model: torch.nn.Module) -> bool:
    ids = torch.arange(1, 33).reshape(2, 16)
    with seeded(), torch.no_grad():
        plain = model.eval()(input_ids=ids).logits
        return any(not torch.equal(model.train()(input_ids=ids).logits, plain) for _ in range(4))


POLICIES = {"GPT2LMHeadModel": GPT2, "OPTForCausalLM": OPT, "PhiForCausalLM": PHI,
            "GraniteForCausalLM": GRANITE, "Starcoder2ForCausalLM": STARCODER,
            "MixtralForCausalLM": MIXTRAL, "FalconForCausalLM": FALCON,
            "GPTNeoXForCausalLM": NEOX, "LlamaForCausalLM": GRANITE}  # fmt: skip
CRITICS = {f"{family}ForTokenClassification": own
           for family, own in (("GPT2", GPT2), ("Phi", PHI), ("Starcoder2", STARCODER),
                               ("Falcon", FALCON), ("GPTNeoX", NEOX), ("Llama", GRANITE))
           }  # fmt: skip


@pytest.mark.parametrize(("name", "own"), [*POLICIES.items(), *CRITICS.items()])
def test_training_is_no_noise(name: str, own: dict[str, Any]) -> None:
    cls, is_critic = getattr(transformers, name), name in CRITICS
    with seeded():
        noisy = cls(cls.config_class(**SMALL | own))
        config = cls.config_class(**SMALL | own)
        taken = dropout.take_out(config)
        if is_critic:
            config.classifier_dropout = config.hidden_dropout = 0.0  # as engines.py does
        model = dropout.silence(cls(config))
    assert is_noisy(noisy) and taken
    assert not is_noisy(model)


def test_what_is_saved_names_the_models_own() -> None:
    config = transformers.PhiConfig(**SMALL | PHI)
    published = config.to_dict()
    own = dropout.take_out(config)
    assert own == PHI and config.resid_pdrop == 0.0
    with dropout.put_back(config, own):
        assert config.to_dict() == published
    assert config.embd_pdrop == 0.0


def test_a_part_of_a_config_counts_and_a_switch_does_not() -> None:
    text = {"attention_dropout": 0.1, "use_dropout": True, "attn_pdrop": 0, "drop_token": 3}
    from verlaunch.inputs.models import noise

    assert noise({"text_config": text, "layerdrop": 0.2}) == {
        "text_config.attention_dropout": 0.1,
        "layerdrop": 0.2,
    }


def test_an_adapters_dropout_is_silenced() -> None:
    from peft import LoraConfig, get_peft_model

    with seeded():
        base = transformers.LlamaForCausalLM(transformers.LlamaConfig(**SMALL))
        adapted = get_peft_model(base, LoraConfig(r=2, lora_dropout=0.5, target_modules=["q_proj"]))
        for name, weights in adapted.named_parameters():
            if "lora_B" in name:
                weights.data.normal_()
    assert is_noisy(adapted)
    assert not is_noisy(dropout.silence(adapted))
