r"""What a response says in the end: not what it only thought, and what it put into <answer>.

    said("<think>5? no, 6</think>\nIt is 6.")                 # Said("\nIt is 6.", tagged=False)
    said("so far</think> Well: <answer>6</answer> Bye!")      # Said("6", tagged=True)
    said("<think>6, I am sure, and the answer is 6")          # Said("", tagged=False)
    without_tags("5<br>6")                                    # "5 6"

Everything up to the last `</think>` is thought, also where the template opened it and the response
holds no `<think>`; a thought that never ends leaves nothing. Behind it the last `<answer>` counts
alone; one that is still open counts too, since `</answer>` is a common stop string, and an empty
one says nothing. Each pass is linear. Left out: what the text means, which is each rule's own.
"""

import re
from typing import NamedTuple

_THOUGHT = re.compile(r"[<\[](?P<end>/?)(?:think|thinking|thought|reasoning)[>\]]", re.IGNORECASE)
_ANSWER = re.compile(r"<(?P<end>/?)answer>", re.IGNORECASE)
_TAG = re.compile(r"</?[A-Za-z][A-Za-z0-9]{0,19}\s?/?>")


class Said(NamedTuple):
    """tagged: the text is the whole of an <answer>."""

    text: str
    tagged: bool


def _behind_thought(text: str) -> str:
    tags = list(_THOUGHT.finditer(text))
    if tags and not tags[-1]["end"]:
        return ""  # still thinking
    return text[tags[-1].end() :] if tags else text


def said(text: str) -> Said:
    """The part of a response that counts, as it is written."""
    if "<" not in text and "[" not in text:
        return Said(text, False)
    text = _behind_thought(text)
    tags = list(_ANSWER.finditer(text))
    at = next((at for at in range(len(tags) - 1, -1, -1) if not tags[at]["end"]), None)
    if at is None:
        return Said(text, False)
    end = tags[at + 1].start() if at + 1 < len(tags) else len(text)
    return Said(text[tags[at].end() : end], True)


def without_tags(text: str) -> str:
    """A tag is a gap: "30</b>35" holds two numbers."""
    return _TAG.sub(" ", text)
