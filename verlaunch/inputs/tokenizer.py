"""Whether transformers reads a tokenizer as its file says, and a folder from which it does.

    difference(Path("DeepSeek-R1-Distill-Llama-8B"))  ->  "'a b' becomes 'ab'"; None where it does
    as_written(folder, cache)  ->  the folder, or one of links to it that is read as its file says
    published(view)            ->  the folder that a view is of

In transformers 5.9 and 5.10 a ByteLevel tokenizer.json under a Llama class loses spaces and line
ends, and encodes other ids (huggingface/transformers#45488, #48206): DeepSeek's distilled Llama,
math, coder and llm models have one. Under the general class the file counts alone, in every
version. Left out on purpose: classes that hand everything to the file, which nobody has seen
differ; they cost no import.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from rewards.models import written
from rewards.models.written import TRIED
from verlaunch.machine import disk

CONFIG, GENERAL = "tokenizer_config.json", "PreTrainedTokenizerFast"
ORIGIN = "verlaunch_view_of.json"
HANDS_ON = ("PreTrainedTokenizerFast", "TokenizersBackend", "Qwen2", "GPT2", "GPTNeoX")


def may_differ(folder: Path) -> bool:
    """By the small files alone."""
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        words = (folder / "tokenizer.json").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    name = str(config.get("tokenizer_class") or "")
    return "ByteLevel" in words and bool(name) and not name.startswith(HANDS_ON)


def difference(folder: Path) -> str | None:
    """What becomes of a text with spaces, line ends and digits; None where nothing does."""
    if not may_differ(folder):
        return None
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer

    file = Tokenizer.from_file(str(folder / "tokenizer.json"))
    read = AutoTokenizer.from_pretrained(str(folder))
    ids = file.encode(TRIED, add_special_tokens=False).ids
    found = read.encode(TRIED, add_special_tokens=False)
    text, plain = read.decode(found), file.decode(ids)
    if found == ids and text == plain:
        return None
    return f"{TRIED!r} becomes {text!r}, and {plain!r} by its tokenizer.json"


def load(folder: Path) -> Any:
    """transformers' tokenizer of a folder, as its file says."""
    from transformers import AutoTokenizer

    return written.as_written(AutoTokenizer.from_pretrained(str(folder)), folder)


def as_written(folder: Path, views: Path) -> Path:
    """views: where folders of links are kept."""
    if difference(folder) is None:
        return folder
    folder = folder.resolve()
    view = views / hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    text = json.dumps({**config, "tokenizer_class": GENERAL}, indent=2)
    files = {file.name: file for file in folder.iterdir() if file.name != CONFIG}
    if not _is_whole(view, text, set(files)):  # another run may stand on it
        with disk.building(view) as building:
            for name, file in files.items():
                (building / name).symlink_to(file)
            (building / CONFIG).write_text(text, encoding="utf-8")
            (building / ORIGIN).write_text(json.dumps(str(folder)))
    return view


def _is_whole(view: Path, text: str, names: set[str]) -> bool:
    if not (view / ORIGIN).is_file() or (view / CONFIG).read_text(encoding="utf-8") != text:
        return False
    return {file.name for file in view.iterdir()} == {*names, CONFIG, ORIGIN}


def published(view: Path) -> Path:
    """The folder itself where it is none."""
    origin = view / ORIGIN
    return Path(json.loads(origin.read_text())) if origin.is_file() else view
