"""A tokenizer that reads as its file says, whatever its class makes of it.

    tokenizer = as_written(AutoTokenizer.from_pretrained(folder), folder)

In transformers 5.9 and 5.10 a ByteLevel tokenizer.json under a Llama class loses spaces and line
ends and encodes other ids (huggingface/transformers#45488, #48206): a score of another text.
"""

from pathlib import Path
from typing import Any

TRIED = "a b\n\n  x = 1, 23\n\tyes  "


def as_written(tokenizer: Any, folder: Path) -> Any:
    """The same one where it agrees with tokenizer.json, or there is none."""
    file = folder / "tokenizer.json"
    if not file.is_file() or b"ByteLevel" not in file.read_bytes():
        return tokenizer
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    ids = Tokenizer.from_file(str(file)).encode(TRIED, add_special_tokens=False).ids
    if tokenizer.encode(TRIED, add_special_tokens=False) == ids:
        return tokenizer
    return PreTrainedTokenizerFast.from_pretrained(folder)
