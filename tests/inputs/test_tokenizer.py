"""A tokenizer that transformers reads otherwise than its file says is found before a run."""

import json
import shutil
from pathlib import Path

import pytest

from tests.guard_scenes import scene_of, told
from verlaunch.inputs.tokenizer import TRIED, as_written, difference, load, may_differ, published
from verlaunch.plan.guards import token_ids
from verlaunch.weights.small_files import as_published


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
    assert not found.startswith("STOP") and "This run goes by the file" in found
    copy = named(model, tmp_path / "copy", "PreTrainedTokenizerFast")
    assert told(token_ids, scene_of(copy)) == []


def test_a_run_reads_it_as_its_file_says_and_keeps_the_models_own(
    tiny_llama: Path, tmp_path: Path
) -> None:
    from tokenizers import Tokenizer
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = named(tiny_llama, tmp_path / "m", "LlamaTokenizerFast")
    view = as_written(model, tmp_path / "views")
    read = AutoTokenizer.from_pretrained(view)
    written = Tokenizer.from_file(str(model / "tokenizer.json"))
    ids = written.encode(TRIED).ids
    assert read.encode(TRIED, add_special_tokens=False) == ids
    assert read.decode(ids) == written.decode(ids) == TRIED
    assert AutoModelForCausalLM.from_pretrained(view).config.model_type == "llama"
    assert published(view) == model and published(model) == model
    saved = tmp_path / "saved"
    saved.mkdir()
    as_published(saved, published(view))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (saved / name).read_bytes() == (model / name).read_bytes()


def test_prompts_are_measured_as_the_file_says(tiny_llama: Path, tmp_path: Path) -> None:
    model = named(tiny_llama, tmp_path / "m", "LlamaTokenizerFast")
    for folder in (model, tiny_llama):
        assert load(folder).decode(load(folder).encode(TRIED)) == TRIED


def test_a_view_stays_while_the_model_does(tiny_llama: Path, tmp_path: Path) -> None:
    model = named(tiny_llama, tmp_path / "m", "LlamaTokenizerFast")
    view = as_written(model, tmp_path / "views")
    first = view.stat().st_ino
    assert as_written(model, tmp_path / "views").stat().st_ino == first
    (model / "generation_config.json").write_text("{}")
    (model / "more.txt").write_text("more")
    assert as_written(model, tmp_path / "views") == view and (view / "more.txt").is_file()
    assert as_written(tiny_llama, tmp_path / "views") == tiny_llama


def test_a_reward_models_tokenizer_is_read_as_its_file_says(
    tiny_llama: Path, tmp_path: Path
) -> None:
    from tokenizers import Tokenizer

    from rewards.models.model_part import _load_tokenizer

    model = named(tiny_llama, tmp_path / "m", "LlamaTokenizerFast")
    read = _load_tokenizer(model, trusts=False)
    ids = Tokenizer.from_file(str(model / "tokenizer.json")).encode(TRIED).ids
    assert read.encode(TRIED, add_special_tokens=False) == ids and read.decode(ids) == TRIED
    assert read.eos_token == _load_tokenizer(tiny_llama, trusts=False).eos_token


@pytest.mark.parametrize("name", ["Qwen2TokenizerFast", "GPT2Tokenizer", None])
def test_classes_that_hand_on_to_the_file_cost_nothing(
    tiny_qwen2: Path, tmp_path: Path, name: str | None
) -> None:
    assert not may_differ(named(tiny_qwen2, tmp_path / "m", name))
