"""A model whose file holds a head of its own, and whose config.json says that it has none.

    [finding.text for finding in check(scene)]
    ->  ["--model ./m: lm_head.weight is not its embeddings, and config.json ties the two ..."]

With `tie_word_embeddings: true` vLLM takes the embeddings for the head, verl trains the head that
is in the file, and an export drops it: three models. Compared at a few places of the file, byte by
byte. Left out on purpose: weights in *.bin files.
"""

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from verlaunch.errors import Finding
from verlaunch.plan.guards.scene import Scene
from verlaunch.plan.tokenizer_files import json_of

HEAD = "lm_head.weight"
EMBEDDINGS = ("embed_tokens.weight", "wte.weight", "embed_in.weight")
INDEX, WHOLE = "model.safetensors.index.json", "model.safetensors"
PLACES, BYTES = 16, 4096


def check(scene: Scene) -> Iterator[Finding]:
    config, folder = scene.model.config, scene.model.folder
    ties = (config.get("text_config") or config).get("tie_word_embeddings")
    if folder is None or not (ties and config.get("tie_word_embeddings", True)):
        return
    if _differ(folder):
        yield Finding(
            f"--model {scene.model.name}: {HEAD} is not its embeddings, and config.json ties the "
            "two: vLLM would answer by the embeddings, and training go by the head. Write "
            f'"tie_word_embeddings": false in {folder / "config.json"}.'
        )


def _files(folder: Path) -> dict[str, Path]:
    """Each tensor's file; of one file without an index, all names are its own."""
    if (folder / INDEX).is_file():
        named = json_of(folder / INDEX).get("weight_map") or {}
        return {name: folder / file for name, file in named.items()}
    file = folder / WHOLE
    return dict.fromkeys(_header(file), file) if file.is_file() else {}


def _header(file: Path) -> Mapping[str, Any]:
    with file.open("rb") as opened:
        length = struct.unpack("<Q", opened.read(8))[0]
        found: dict[str, Any] = json.loads(opened.read(length))
    return found


def _samples(file: Path, name: str) -> tuple[Any, list[bytes]]:
    """Type and shape, and what stands at places that are spread over the tensor."""
    with file.open("rb") as opened:
        length = struct.unpack("<Q", opened.read(8))[0]
        told = json.loads(opened.read(length))[name]
        begin, end = told["data_offsets"]
        found = []
        for place in range(PLACES):
            opened.seek(8 + length + begin + (end - begin) * place // PLACES)
            found.append(opened.read(min(BYTES, end - begin)))
    return (told["dtype"], told["shape"]), found


def _differ(folder: Path) -> bool:
    files = _files(folder)
    embeddings = next((name for name in files if name.endswith(EMBEDDINGS)), None)
    head = next((name for name in files if name == HEAD or name.endswith(f".{HEAD}")), None)
    if head is None or embeddings is None:
        return False
    if not (files[head].is_file() and files[embeddings].is_file()):
        return False  # told by model_files
    (kind, one), (other_kind, other) = (_samples(files[n], n) for n in (head, embeddings))
    return kind == other_kind and one != other
