"""What is Starling-RM-7B-alpha's alone: how it is told, its tokenizer, its template, its lengths.

    starling.is_one(config, {"transformer.embed_tokens.weight": ..., "v_head.weight": ...})

A Llama 2 below `transformer.` (and once more, with the head that writes, below `model.`), and
`v_head` on the last hidden state before the first padding. convert.py does the rest.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rewards.models.profiles import LLAMA2_TEMPLATE
from rewards.models.weights import CannotConvert

PUBLISHED = "LLMForSequenceRegression"
LLAMA2 = "meta-llama/Llama-2-7b-chat-hf"  # it has the tokenizer; its licence must be accepted
MAX_LENGTH = 2048  # tokens, of its training; Llama 2 has more positions
PADDING = 0  # <unk>
NAMES = {"v_head.weight", "transformer.embed_tokens.weight"}


def is_one(config: Mapping[str, Any], names: Iterable[str]) -> bool:
    is_published = (config.get("architectures") or [None])[0] == PUBLISHED
    return is_published and config.get("model_type") == "llama" and set(names) >= NAMES


def changes(config: Mapping[str, Any]) -> dict[str, Any]:
    """Of its config.json."""
    places = config.get("max_position_embeddings", MAX_LENGTH)
    return {"pad_token_id": PADDING, "max_position_embeddings": min(MAX_LENGTH, places)}


def tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    if not any(folder.glob("tokenizer*")):
        raise CannotConvert(
            f"{folder} has no tokenizer. Starling reads by that of {LLAMA2}: --tokenizer FOLDER"
        )
    found = AutoTokenizer.from_pretrained(folder)
    if found.convert_tokens_to_ids(["<unk>", "<s>", "</s>"]) != [PADDING, 1, 2]:
        raise CannotConvert(
            f"{folder} has another tokenizer than Starling's, that of {LLAMA2}: --tokenizer FOLDER"
        )
    found.pad_token = "<unk>"
    found.truncation_side = "left"
    found.model_max_length = MAX_LENGTH
    found.chat_template = LLAMA2_TEMPLATE
    return found
