"""A text as a list of words, for rules that count or compare them.

    words("The cat's 2 hats: 猫!")  # ["The", "cat's", "2", "hats", "猫"]

Every Chinese, Japanese or Korean character is a word, and a word has at most LONGEST characters, so
that "aaaa..." is a repetition. Left out: any model's tokenizer.
"""

import re

LONGEST = 16
WIDE = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
_WORD = re.compile(rf"[{WIDE}]|(?:(?![{WIDE}])[\w'’]){{1,{LONGEST}}}")


def words(text: str) -> list[str]:
    return _WORD.findall(text)
