"""Folders that are reward models, and those that are not, seen without torch or weights."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from rewards.models import headers
from rewards.models.fetch import fetch, is_local
from rewards.models.model_part import ModelPart
from rewards.models.positions import positions
from rewards.models.probe import Probe, probe
from rewards.models.refuse import labels
from rewards.part import CannotStart
from rewards.spec import ModelSpec

LLAMA = "LlamaForSequenceClassification"
ONE_LABEL = {"0": "LABEL_0"}


def write(
    folder: Path,
    architecture: str = LLAMA,
    tensors: tuple[str, ...] = ("model.norm.weight", "score.weight"),
    template: str | None = "{{ messages }}",
    **config: Any,
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    config = {"architectures": [architecture], "id2label": ONE_LABEL} | config
    (folder / "config.json").write_text(json.dumps(config))
    save_file({name: np.zeros(1) for name in tensors}, folder / "model.safetensors")
    (folder / "tokenizer.json").write_text("{}")
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}))
    return folder


def refusal(folder: Path, **options: Any) -> str:
    with pytest.raises(CannotStart) as caught:
        probe(folder, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def seen(folder: Path, **options: Any) -> Probe:
    return probe(folder, **options)


@pytest.mark.parametrize(
    ("name", "architecture", "config", "expected"),
    [
        ("m", LLAMA, {}, ("vllm", "classify", "chat", 16384)),
        ("m", LLAMA, {"max_position_embeddings": 4096}, ("vllm", "classify", "chat", 4096)),
        ("m", "GPT2ForSequenceClassification", {}, ("transformers", "classify", "chat", 16384)),
        (
            "m",
            "BertForSequenceClassification",
            {"model_type": "bert", "max_position_embeddings": 512},
            ("transformers", "classify", "chat", 512),
        ),
        (
            "m",
            "RobertaForSequenceClassification",
            {"model_type": "roberta", "max_position_embeddings": 514},
            ("transformers", "classify", "chat", 512),
        ),
        (
            "reward-model-deberta-v3-large-v2",
            "DebertaV2ForSequenceClassification",
            {"model_type": "deberta-v2", "max_position_embeddings": 512},
            ("transformers", "classify", "pair", 512),
        ),
        (
            "ArmoRM-Llama3-8B-v0.1",
            "LlamaForRewardModelWithGating",
            {"auto_map": {"AutoModel": "x.Y"}, "max_position_embeddings": 8192},
            ("transformers", "classify", "chat", 8192),
        ),
        (
            "Qwen2.5-Math-RM-72B",
            "Qwen2ForRewardModel",
            {"auto_map": {"AutoModel": "x.Y"}},
            ("vllm", "token_classify", "chat", 16384),
        ),
        ("Starling-RM-7B-alpha", LLAMA, {}, ("vllm", "classify", "llama2", 2048)),
    ],
)
def test_the_architecture_chooses_what_runs_it_and_what_it_reads(
    tmp_path: Path,
    name: str,
    architecture: str,
    config: dict[str, Any],
    expected: tuple[str, str, str, int],
) -> None:
    found = seen(write(tmp_path / name, architecture, **config))
    assert (found.backend, found.task, found.input, found.max_length) == expected


def test_skywork_is_known_by_name_in_a_folder_and_in_the_hubs_cache(tmp_path: Path) -> None:
    for name in (
        "Skywork-Reward-V2-Qwen3-0.6B",
        "models--Skywork--Skywork-Reward-V2-Qwen3-0.6B/snapshots/abc",
    ):
        found = seen(write(tmp_path / name, "Qwen3ForSequenceClassification"))
        assert found.profile.drop_system and found.max_length == 16384


def test_a_model_without_a_template_reads_question_and_answer(tmp_path: Path) -> None:
    assert seen(write(tmp_path, template=None)).input == "pair"
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    assert seen(tmp_path).input == "chat"


def test_a_backend_that_is_asked_for_is_taken_where_it_can_run_the_model(tmp_path: Path) -> None:
    assert seen(write(tmp_path), backend="transformers").backend == "transformers"
    folder = write(tmp_path / "g", "GPT2ForSequenceClassification")
    assert seen(folder, backend="vllm").backend == "vllm"
    folder = write(tmp_path / "b", "BertForSequenceClassification", model_type="bert")
    assert "vLLM does not serve Bert" in refusal(folder, backend="vllm")
    own = {"auto_map": {"AutoModel": "x.Y"}}
    folder = write(tmp_path / "i", "InternLM2ForRewardModel", ("v_head.weight",), **own)
    assert "only vLLM runs InternLM2" in refusal(
        folder, backend="transformers", trust_remote_code=True
    )


def test_internlm2_needs_trust_and_is_read_at_its_own_token(tmp_path: Path) -> None:
    config = {"auto_map": {"AutoModel": "x.Y"}, "reward_token_id": 92527}
    folder = write(tmp_path, "InternLM2ForRewardModel", ("v_head.weight",), **config)
    assert "add --rm_trust_remote_code" in refusal(folder)
    found = seen(folder, trust_remote_code=True)
    assert (found.backend, found.task, found.ending) == ("vllm", "token_classify", 92527)


@pytest.mark.parametrize(
    ("architecture", "config", "words"),
    [
        ("LlamaForCausalLM", {}, "writes text and scores none. Give a reward model"),
        ("GPT2LMHeadModel", {}, "writes text and scores none"),
        ("LLMForSequenceRegression", {}, "Convert it once: ./train.sh convert"),
        ("Qwen2ForProcessRewardModel", {"auto_map": {}}, "scores every step"),
        ("BertForQuestionAnswering", {}, "not a reward model that can be run here"),
        ("URMForX", {"auto_map": {"AutoModel": "x.Y"}}, "add --rm_trust_remote_code"),
        (
            "NewForSequenceClassification",
            {"auto_map": {"AutoModel": "x.Y"}, "model_type": "nonesuch"},
            "add --rm_trust_remote_code",
        ),
        (LLAMA, {"id2label": {"0": "NEG", "1": "POS"}}, "has 2 labels (NEG, POS)"),
        (LLAMA, {"id2label": None}, "has 2 labels; a reward is one number"),
        (LLAMA, {"num_labels": 3}, "has 3 labels; a reward is one number"),
        (LLAMA, {"id2label": {}}, "has 0 labels; a reward is one number"),
        ("RewardModel", {}, "Convert it once: ./train.sh convert"),
        (LLAMA, {"architectures": []}, "names no architectures"),
        (LLAMA, {"architectures": ["A", "B"]}, "names 2 architectures"),
    ],
)
def test_what_gives_no_single_number_is_refused_with_a_way_out(
    tmp_path: Path, architecture: str, config: dict[str, Any], words: str
) -> None:
    assert words in refusal(write(tmp_path, architecture, **config))


def test_code_beside_a_class_that_transformers_has_is_not_needed(tmp_path: Path) -> None:
    own = {"auto_map": {"AutoModelForSequenceClassification": "x.Y"}, "model_type": "llama"}
    assert seen(write(tmp_path, **own)).backend == "vllm"


def test_a_head_that_the_weights_lack_would_be_random(tmp_path: Path) -> None:
    bare = ("model.norm.weight", "lm_head.weight")
    assert "so its scores would be random" in refusal(write(tmp_path, tensors=bare))
    index = {"weight_map": {name: "a.safetensors" for name in bare}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "no head for Llama" in refusal(tmp_path)
    index["weight_map"]["score.weight"] = "a.safetensors"
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert seen(tmp_path).architecture == LLAMA


@pytest.mark.parametrize(
    ("config", "head", "words"),
    [
        ({"num_labels": 1, "id2label": {"0": "A", "1": "B"}}, {"score.weight": (1, 8)}, ""),
        ({}, {"classifier.dense.weight": (8, 8), "classifier.out_proj.weight": (1, 8)}, ""),
        ({}, {"score.weight": (2, 8)}, "the head is 2 wide (score.weight in model.safetensors)"),
        ({"num_labels": 5}, {"score.weight": (5, 8)}, "the head is 5 wide"),
        ({}, {"classifier.dense.weight": (8, 8), "classifier.out_proj.weight": (3, 8)}, "3 wide"),
        ({"id2label": None}, {"score.weight": (1, 8)}, 'says 2 labels, by which it does not load. '
         'Add "num_labels": 1'),
        ({"num_labels": 2}, {"score.weight": (1, 8)}, "says 2 labels"),
    ],
)  # fmt: skip
def test_labels_are_read_as_transformers_reads_them_and_by_the_heads_shape(
    tmp_path: Path, config: dict[str, Any], head: dict[str, tuple[int, int]], words: str
) -> None:
    folder = write(tmp_path, **config)
    save_file({name: np.zeros(shape) for name, shape in head.items()}, folder / "model.safetensors")
    if words:
        assert words in refusal(folder)
    else:
        assert seen(folder).architecture == LLAMA


@pytest.mark.parametrize("names", [None, {"0": "A"}, {"0": "A", "1": "B"}, {}])
@pytest.mark.parametrize("count", [None, 1, 2])
def test_labels_are_those_of_the_version_that_loads(count: int | None, names: Any) -> None:
    from transformers import LlamaConfig

    given = {"num_labels": count, "id2label": names}
    given = {name: value for name, value in given.items() if value is not None}
    assert labels(given) == LlamaConfig.from_dict(dict(given)).num_labels


@pytest.mark.parametrize(
    ("rope", "expected"),
    [
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512}, 2048),
        ({"type": "yarn", "factor": 2.0}, 2000),
        ({"rope_type": "dynamic", "factor": 2.0}, 2000),
        ({"type": "linear", "factor": 2.5}, 2500),
        ({"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 512}, 1000),
        ({"rope_type": "longrope", "factor": 8.0, "short_factor": [1.0]}, 1000),
        ({"rope_type": "default", "rope_theta": 1e6}, 1000),
        ({"full_attention": {"rope_type": "linear", "factor": 3.0}}, 3000),
    ],
)
@pytest.mark.parametrize("key", ["rope_scaling", "rope_parameters"])
def test_positions_are_stretched_as_vllm_stretches_them(
    tmp_path: Path, rope: dict[str, Any], expected: int, key: str
) -> None:
    config = {"max_position_embeddings": 1000, key: rope}
    assert positions(config) == positions({"text_config": config}) == expected
    assert seen(write(tmp_path, **config)).max_length == expected
    assert "positions" in refusal(tmp_path, max_length=expected + 1)


def test_who_depends_on_company_is_scored_alone(tmp_path: Path) -> None:
    names = {"xlnet": "XLNet", "fnet": "FNet", "convbert": "ConvBert", "big_bird": "BigBird"}
    for kind, name in names.items():
        folder = write(tmp_path / kind, f"{name}ForSequenceClassification", model_type=kind)
        assert seen(folder).alone
    assert seen(write(tmp_path / "d", rope_scaling={"type": "dynamic", "factor": 2.0})).alone
    assert not seen(write(tmp_path / "l", rope_scaling={"type": "linear", "factor": 2.0})).alone


def test_pickled_weights_tell_only_when_loaded(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    assert headers.files(tmp_path) is None and seen(tmp_path).architecture == LLAMA
    (tmp_path / "pytorch_model.bin").unlink()
    assert "has no weights" in refusal(tmp_path)


@pytest.mark.parametrize(
    "data",
    [b"", b"version https://git-lfs.github.com/spec/v1\n", b"\x08" + b"\0" * 7 + b"not json"],
)
def test_weights_that_are_not_there_in_full_are_named(tmp_path: Path, data: bytes) -> None:
    write(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(data)
    assert "model.safetensors is no safetensors file" in refusal(tmp_path)


def test_folders_without_a_model_are_told_apart(tmp_path: Path) -> None:
    assert "has no config.json" in refusal(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    assert "holds an adapter, not a model. Merge it" in refusal(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    assert "holds a list, not an object" in refusal(tmp_path)
    (tmp_path / "config.json").write_bytes(b"\xff")
    assert "is not JSON" in refusal(tmp_path)


def test_a_missing_tokenizer_or_template_is_asked_for(tmp_path: Path) -> None:
    folder = write(tmp_path / "m")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    assert "has no tokenizer. Give" in refusal(folder)
    other = write(tmp_path / "other")
    assert seen(folder, tokenizer=other).input == "chat"
    own = {"auto_map": {"AutoModel": "x.Y"}}
    gated = write(tmp_path / "a", "LlamaForRewardModelWithGating", template=None, **own)
    assert "--rm_tokenizer FOLDER_OR_ID" in refusal(gated)


def test_lengths_beyond_the_models_positions_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, max_position_embeddings=2048)
    assert seen(folder, max_length=2048).max_length == 2048
    assert "has 2048 positions" in refusal(folder, max_length=2049)
    assert "at least 16 tokens" in refusal(folder, max_length=8)


def test_a_local_folder_is_fetched_as_it_is(tmp_path: Path) -> None:
    assert fetch(str(tmp_path)) == tmp_path
    assert is_local("./x") and is_local("a/b/c") and not is_local("org/name")
    with pytest.raises(CannotStart, match="no such folder"):
        fetch("./nowhere")


def test_a_part_of_a_folder_that_is_no_reward_model_is_refused_when_made(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="writes text"):
        ModelPart(ModelSpec(str(write(tmp_path, "LlamaForCausalLM"))))


HUB = """
import os, sys
os.environ["HF_HUB_OFFLINE"] = "1"
from rewards.models.fetch import fetch
from rewards.models.probe import probe
from rewards.part import CannotStart
for name in sys.argv[1:]:
    try:
        print(probe(fetch(name)).architecture)
    except CannotStart as error:
        print(error)
assert not {"torch", "transformers"} & set(sys.modules)
"""


def test_a_hub_id_is_probed_without_torch_or_transformers(tmp_path: Path) -> None:
    repo = tmp_path / "hub" / "models--org--tiny"
    write(repo / "snapshots" / "abc")
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("abc")
    words = subprocess.run(
        [sys.executable, "-c", HUB, "org/tiny", "org/none", "not a model!"],
        capture_output=True, text=True, check=True,
        env={"HF_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
    ).stdout.splitlines()  # fmt: skip
    assert words[0] == LLAMA
    assert words[1].startswith("--reward_model org/none: not a folder here, and the hub did not")
    assert words[2].startswith("--reward_model not a model!: not a folder here")
