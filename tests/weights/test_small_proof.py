"""An export whose small files are not the model's own is refused, whatever broke them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from verlaunch.weights.shards import CannotExport
from verlaunch.weights.small_proof import Wanted, prove_small

STOP = 77


@pytest.fixture
def base(tiny_qwen2: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    shutil.copytree(tiny_qwen2, folder)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [2]}))
    return folder


@pytest.fixture
def exported(base: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "exported"
    shutil.copytree(base, folder)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, STOP]}))
    return folder


def json_of(name: str, change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        found = json.loads((folder / name).read_text())
        change(found)
        (folder / name).write_text(json.dumps(found))

    return apply


def swap_two_words(told: dict[str, Any]) -> None:
    words = told["model"]["vocab"]
    one, other = sorted(words)[40:42]
    words[one], words[other] = words[other], words[one]


def lose_pre_tokenizer(told: dict[str, Any]) -> None:
    told["pre_tokenizer"] = None


def halve(folder: Path) -> None:
    file = folder / "model.safetensors"
    tensors = {name: tensor.to(torch.bfloat16) for name, tensor in load_file(file).items()}
    save_file(tensors, file, {"format": "pt"})


FAULTS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "two ids swapped": (json_of("tokenizer.json", swap_two_words), "other ids"),
    "spaces lost": (json_of("tokenizer.json", lose_pre_tokenizer), "other ids"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "has no tokenizer.json"),
    "an end lost": (lambda f: (f / "generation_config.json").unlink(), "responses ended at"),
    "another end": (
        json_of("generation_config.json", lambda told: told.update(eos_token_id=0)),
        r"ends are \[0\], and responses ended at \[2, 77\]",
    ),
    "the added end lost": (
        json_of("generation_config.json", lambda told: told.update(eos_token_id=[2])),
        r"ends are \[2\]",
    ),
    "another template": (
        lambda f: (f / "chat_template.jinja").write_text("{{ messages[0]['content'] }}"),
        "chat template is not the one of training",
    ),
    "another dtype": (halve, "kept as BF16, and F32 was asked for"),
}


def test_what_the_writer_left_alone_is_proven(base: Path, exported: Path) -> None:
    assert "Tokenizer, chat template, ends and dtype" in prove_small(
        exported, Wanted(base, stops=(STOP,))
    )


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_of_the_writer_is_refused(fault: str, base: Path, exported: Path) -> None:
    broken, said = FAULTS[fault]
    broken(exported)
    with pytest.raises(CannotExport, match=f"^The exported .*{said}"):
        prove_small(exported, Wanted(base, stops=(STOP,)))


def test_all_faults_are_told_at_once(base: Path, exported: Path) -> None:
    halve(exported)
    swap = json_of("tokenizer.json", swap_two_words)
    swap(exported)
    with pytest.raises(CannotExport, match="other ids than the model's own; the weights are kept"):
        prove_small(exported, Wanted(base, stops=(STOP,)))


def test_what_was_asked_for_is_no_fault(base: Path, exported: Path) -> None:
    halve(exported)
    (exported / "chat_template.jinja").write_text("{{ 1 }}")
    asked = Wanted(base, stops=(STOP,), template="{{ 1 }}", dtype="bfloat16")
    assert prove_small(exported, asked)
    (exported / "generation_config.json").unlink()
    assert prove_small(exported, Wanted(base, template="{{ 1 }}", whole=False))


def test_a_sentencepiece_model_is_compared_by_its_bytes(base: Path, exported: Path) -> None:
    (base / "tokenizer.model").write_bytes(b"one")
    with pytest.raises(CannotExport, match=r"tokenizer\.model is not the model's own"):
        prove_small(exported, Wanted(base, stops=(STOP,)))
    (exported / "tokenizer.model").write_bytes(b"one")
    assert prove_small(exported, Wanted(base, stops=(STOP,)))
