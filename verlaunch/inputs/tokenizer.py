"""Whether transformers reads a tokenizer as its file says.

    difference(Path("DeepSeek-R1-Distill-Llama-8B"))  ->  "'a b' becomes 'ab'"; None where it does

In transformers 5.9 and 5.10 a ByteLevel tokenizer.json under a Llama class loses spaces and line
ends, and encodes other ids (huggingface/transformers#45488, #48206): DeepSeek's distilled Llama,
math, coder and llm models have one. Training would go on, on other text. Left out on purpose:
classes that hand everything to the file, which nobody has seen differ; they cost no import.
"""

import json
from pathlib import Path

TRIED = "a b\n\n  x = 1, 23\n\tyes  "
HANDS_ON = ("PreTrainedTokenizerFast", "TokenizersBackend", "Qwen2", "GPT2", "GPTNeoX")


def may_differ(folder: Path) -> bool:
    """By the small files alone."""
    try:
        config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
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

    written = Tokenizer.from_file(str(folder / "tokenizer.json"))
    read = AutoTokenizer.from_pretrained(str(folder))
    ids = written.encode(TRIED, add_special_tokens=False).ids
    found = read.encode(TRIED, add_special_tokens=False)
    text, plain = read.decode(found), written.decode(ids)
    if found == ids and text == plain:
        return None
    return f"{TRIED!r} becomes {text!r}, and {plain!r} by its tokenizer.json"
