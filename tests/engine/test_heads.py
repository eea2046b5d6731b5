"""A head beside tied embeddings ends a run when it is loaded, whatever file it came from."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from verlaunch.engine.training.heads import HeadOfItsOwn, check


def saved(folder: Path, source: Path, ties: bool, own: bool) -> Path:
    """A pytorch_model.bin, which the plan does not read."""
    model = AutoModelForCausalLM.from_pretrained(source)
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    body = tensors["model.embed_tokens.weight"]
    tensors["lm_head.weight"] = body + 1 if own else body.clone()
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    torch.save(tensors, folder / "pytorch_model.bin")
    config = json.loads((folder / "config.json").read_text()) | {"tie_word_embeddings": ties}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize(("ties", "own"), [(True, False), (False, True), (False, False)])
def test_a_head_that_is_tied_or_said_to_be_its_own_is_taken(
    tmp_path: Path, tiny_qwen2: Path, ties: bool, own: bool
) -> None:
    folder = saved(tmp_path / "model", tiny_qwen2, ties, own)
    check(AutoModelForCausalLM.from_pretrained(folder))


def test_a_head_of_its_own_beside_tied_embeddings_is_refused(
    tmp_path: Path, tiny_qwen2: Path
) -> None:
    folder = saved(tmp_path / "model", tiny_qwen2, ties=True, own=True)
    with pytest.raises(HeadOfItsOwn, match=f'{folder} is not .*"tie_word_embeddings": false'):
        check(AutoModelForCausalLM.from_pretrained(folder))
