"""What model folders and hub ids hold, seen without torch and without the network."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from verlaunch.errors import UserError
from verlaunch.inputs import models


def write(folder: Path, **config: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"architectures": ["XForCausalLM"], **config}))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").touch()
    return folder


def refusal(name: Path | str) -> str:
    with pytest.raises(UserError) as caught:
        models.look(str(name))
    return str(caught.value)


def test_a_folder_is_read(tiny_qwen3: Path) -> None:
    seen = models.look(str(tiny_qwen3))
    assert (seen.architecture, seen.vocab_size) == ("Qwen3ForCausalLM", 260)
    assert (seen.max_positions, seen.heads, seen.head_dim) == (2048, 2, 32)
    assert models.has_chat_template(tiny_qwen3)
    assert models.fetch(f"{tiny_qwen3}/") == tiny_qwen3


def test_sizes_come_from_the_text_part_and_from_each_other(tmp_path: Path) -> None:
    text = {"vocab_size": 9, "hidden_size": 64, "num_attention_heads": 4}
    seen = models.look(str(write(tmp_path / "m", text_config=text)))
    assert (seen.vocab_size, seen.head_dim, seen.max_positions) == (9, 16, None)


def test_a_stretched_rope_gives_a_policy_more_positions(tmp_path: Path) -> None:
    rope = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 100}
    folder = write(tmp_path / "m", max_position_embeddings=100, rope_parameters=rope)
    assert models.look(str(folder)).max_positions == 400


def test_a_misspelt_folder_gets_its_neighbour(tmp_path: Path) -> None:
    write(tmp_path / "qwen-tiny")
    text = refusal(tmp_path / "qwen-tinny")
    assert "no such folder" in text and f"Did you mean {tmp_path / 'qwen-tiny'}?" in text


def test_what_a_folder_lacks_is_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert "lacks a tokenizer, weights;" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"architectures": ["BertForSequenceClassification"]}, "is BertForSequenceClassification"),
        ({"architectures": []}, "is of no architecture"),
        ({"architectures": ["AForCausalLM", "BForCausalLM"]}, "one causal language model"),
    ],
)
def test_a_model_that_cannot_write_is_refused(
    tmp_path: Path, config: dict[str, Any], words: str
) -> None:
    assert words in refusal(write(tmp_path, **config))


@pytest.mark.parametrize(
    ("text", "words"), [("{", "is not JSON"), ("[]", "holds a list"), ("\xff\xfe", "is not JSON")]
)
def test_a_broken_config_is_named_with_its_path(tmp_path: Path, text: str, words: str) -> None:
    write(tmp_path)
    (tmp_path / "config.json").write_bytes(text.encode("latin-1"))
    assert words in refusal(tmp_path) and str(tmp_path / "config.json") in refusal(tmp_path)


def test_a_name_that_is_neither_a_folder_nor_a_hub_id_is_refused() -> None:
    assert "neither a folder here nor a hub id" in refusal("not a model!")


HUB = """
import os, sys
os.environ["HF_HUB_OFFLINE"] = "1"
from verlaunch.inputs import models
from verlaunch.errors import UserError
name = sys.argv[1]
print(models.look(name).vocab_size)
try:
    print(models.fetch(name))
except UserError as error:
    print(error)
assert "torch" not in sys.modules
"""


def test_a_model_in_the_hubs_cache_needs_no_network_but_must_be_whole(tmp_path: Path) -> None:
    repo = tmp_path / "hub" / "models--org--tiny"
    snapshot = write(repo / "snapshots" / "abc", vocab_size=77)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("abc")

    def ask() -> list[str]:
        return subprocess.run(
            [sys.executable, "-c", HUB, "org/tiny"], capture_output=True, text=True, check=True,
            env={"HF_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        ).stdout.splitlines()  # fmt: skip

    assert ask() == ["77", str(snapshot)]
    (snapshot / "model.safetensors").unlink()
    assert ask()[1].startswith("--model org/tiny lacks weights")
