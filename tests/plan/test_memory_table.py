"""The table of docs/memory.md: its shapes, its words, and that it says what the launcher does."""

from dataclasses import replace

import pytest

from verlaunch.plan.memory.docs_table import (
    H100,
    MACHINES,
    cell,
    code,
    fit_on,
    known_models,
    markdown,
)
from verlaunch.plan.memory.fit import Fit
from verlaunch.plan.memory.memory_keys import OFFLOAD, TOKENS, TP
from verlaunch.plan.memory.shape import Shape, shape_of


def config_json(shape: Shape) -> dict[str, object]:
    return {
        "model_type": "qwen2",
        "architectures": ["Qwen2ForCausalLM"],
        "vocab_size": shape.vocab,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "tie_word_embeddings": shape.head == 0,
        "torch_dtype": "bfloat16",
    }


@pytest.mark.parametrize("name", ["0.5B", "7B"])
def test_the_kept_shapes_are_what_the_configs_give(name: str) -> None:
    kept = known_models()[name]
    found = shape_of(config_json(kept), kept.name)
    assert replace(found, cache=None) == kept
    assert found.cache and found.cache.most == 2 * kept.layers * kept.kv_heads * kept.head_dim


def test_the_kept_models_have_their_published_sizes() -> None:
    published = {"0.5B": 0.49, "1.5B": 1.54, "3B": 3.09, "7B": 7.61, "14B": 14.7, "32B": 32.5}
    for name, billions in published.items():
        assert known_models()[name].parameters / 1e9 == pytest.approx(billions, rel=0.01)


def test_layers_and_embeddings_add_up() -> None:
    for shape in known_models().values():
        weights = sum(line.inputs * line.outputs * line.count for line in shape.linears)
        rest = shape.parameters - shape.embedding - shape.head - weights
        assert 0 < rest < 0.001 * shape.parameters  # biases and norms


def test_a_cell_says_what_was_chosen() -> None:
    assert code({OFFLOAD: "all", TP: 4, TOKENS: 1024}) == "offload all, tp 4, 1024 tokens"
    assert cell(Fit({}, ("no",), 8)) == "no; 8 GPUs"
    assert cell(Fit({}, ("no",))) == "no"


@pytest.mark.slow
def test_every_model_and_machine_has_a_cell() -> None:
    lines = markdown().splitlines()
    for name in known_models():
        rows = [line for line in lines if line.startswith(f"| **{name}** |")]
        assert len(rows) == 2
        assert all(row.count("|") == len(MACHINES) + 2 for row in rows)


def test_a_machine_with_more_of_the_same_cards_holds_what_fewer_hold() -> None:
    order = [machines for machines in MACHINES if machines.card_mib == H100]
    for shape in known_models().values():
        held = [fit_on(machines, shape).estimate is not None for machines in order]
        assert held == sorted(held)
