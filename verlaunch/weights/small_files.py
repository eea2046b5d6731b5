"""A checkpoint's small files as the model's author wrote them: tokenizer, and where an answer ends.

    as_published(checkpoint / "actor" / "huggingface", base, stop_token_ids=[151645])

verl saves them through transformers, which writes a tokenizer's files anew, in its version's form,
and leaves out a generation_config.json that it calls invalid, and with it the tokens at which the
model ends. Here they are copied byte by byte; only an end that training added is written beside the
model's own. A chat template that the run set stays.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TOKENIZER = ("tokenizer*", "vocab*", "merges.txt", "added_tokens.json", "special_tokens_map.json",
             "*.model", "*.tiktoken")  # fmt: skip
TEMPLATE, GENERATION = "chat_template.jinja", "generation_config.json"


def _tokenizer_files(folder: Path) -> set[Path]:
    return {file for pattern in TOKENIZER for file in folder.glob(pattern) if file.is_file()}


def _json(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _own_template(base: Path) -> Any:
    file = base / TEMPLATE
    if file.is_file():
        return file.read_text(encoding="utf-8")
    return _json(base / "tokenizer_config.json").get("chat_template")


def _copy_tokenizer(base: Path, out: Path) -> None:
    for file in _tokenizer_files(out):
        file.unlink()
    for file in _tokenizer_files(base):
        shutil.copyfile(file, out / file.name)
    template = out / TEMPLATE
    if template.is_file() and template.read_text(encoding="utf-8") == _own_template(base):
        template.unlink()
        if (base / TEMPLATE).is_file():
            shutil.copyfile(base / TEMPLATE, template)


def _copy_generation(base: Path, out: Path, stop_token_ids: Sequence[int]) -> None:
    """With the added ends; where the model has no such file, its end stands in config.json."""
    if (base / GENERATION).is_file():
        shutil.copyfile(base / GENERATION, out / GENERATION)
    if not stop_token_ids:
        return
    found = _json(out / GENERATION)
    own = found.get("eos_token_id", _json(base / "config.json").get("eos_token_id"))
    ends = [own] if isinstance(own, int) else own or []
    found["eos_token_id"] = [*ends, *(index for index in stop_token_ids if index not in ends)]
    (out / GENERATION).write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")


def as_published(small_files: Path, base: Path, stop_token_ids: Sequence[int] = ()) -> None:
    """`base`: the folder that training began with. Changes small_files in place."""
    if _tokenizer_files(base):
        _copy_tokenizer(base, small_files)
    _copy_generation(base, small_files, stop_token_ids)
