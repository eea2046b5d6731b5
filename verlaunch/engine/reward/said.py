"""What a response says, as the policy wrote it: the text that is scored and shown.

    said(tokenizer, [15496, 995, 5145])      ->  "Hello world !"

With `clean_up_tokenization_spaces` in its tokenizer_config.json transformers 5 takes the space
before "!" away, and more, of all tokenizers but BPE (tokenization_utils_tokenizers.py:1039).
"""

from collections.abc import Sequence
from typing import Any


def said(tokenizer: Any, ids: Sequence[int]) -> str:
    text: str = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return text
