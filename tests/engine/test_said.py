"""A response is scored and shown with the spaces that the policy wrote."""

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from verlaunch.engine.reward.said import said

TEXT = "Yes , it is 1 . 5 , isn 't it ?"


@pytest.mark.parametrize("kind", ["Unigram", "WordLevel"])
def test_a_tokenizer_that_cleans_up_leaves_a_response_as_it_is(kind: str) -> None:
    words = ["<unk>", *sorted({f"▁{word}" for word in TEXT.split()})]
    tokenizer = Tokenizer(
        models.Unigram([(word, 0.0) for word in words], 0)
        if kind == "Unigram"
        else models.WordLevel({word: i for i, word in enumerate(words)}, "<unk>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, clean_up_tokenization_spaces=True)
    ids = fast.encode(TEXT)
    assert fast.decode(ids) != TEXT
    assert said(fast, ids) == TEXT
