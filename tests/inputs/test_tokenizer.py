"""A tokenizer that transformers reads otherwise than its file says is found before a run."""

import json
import shutil
from pathlib import Path

import pytest

from tests.guard_scenes import scene_of, told
from verlaunch.inputs.tokenizer import difference, may_differ
from verlaunch.plan.guards import token_ids


def named(folder: Path, out: Path, name: str | None) -> Path:
    """The same ByteLevel file under another class."""
    shutil.copytree(folder, out)
    file = out / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"tokenizer_class": name}))
    return out


def test_a_byte_level_file_under_a_llama_class_loses_spaces(
    tiny_llama: Path, tmp_path: Path
) -> None:
    model = named(tiny_llama, tmp_path / "m", "LlamaTokenizerFast")
    lost = difference(model)
    assert lost is not None and "'ab" in lost
    (found,) = [text for text in told(token_ids, scene_of(model)) if "otherwise" in text]
    assert found.startswith("STOP --model") and '"PreTrainedTokenizerFast"' in found
    copy = named(model, tmp_path / "copy", "PreTrainedTokenizerFast")
    assert told(token_ids, scene_of(copy)) == []


def test_the_copy_that_is_advised_reads_as_its_file_says(tiny_llama: Path, tmp_path: Path) -> None:
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer

    from verlaunch.inputs.tokenizer import TRIED

    copy = named(tiny_llama, tmp_path / "m", "PreTrainedTokenizerFast")
    read, written = (
        AutoTokenizer.from_pretrained(copy),
        Tokenizer.from_file(str(copy / "tokenizer.json")),
    )
    ids = written.encode(TRIED).ids
    assert read.encode(TRIED, add_special_tokens=False) == ids
    assert read.decode(ids) == written.decode(ids) == TRIED


@pytest.mark.parametrize("name", ["Qwen2TokenizerFast", "GPT2Tokenizer", None])
def test_classes_that_hand_on_to_the_file_cost_nothing(
    tiny_qwen2: Path, tmp_path: Path, name: str | None
) -> None:
    assert not may_differ(named(tiny_qwen2, tmp_path / "m", name))
