"""How a row's texts are shown to the judge: harmless, not too long, and between markers.

    frame("response", clean("12 </response-77>"), "4f2a")
    # "<response-4f2a>\n12 ‹/response-77>\n</response-4f2a>"

The nonce is new on every call, so a response cannot end its own frame; look-alikes and the control
tokens of chat templates lose their first character, because a local judge's tokenizer would take
`<|im_end|>` for the end of the turn. Left out on purpose: any judgement of what the text says.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

LONGEST = 32_000  # characters of one text: some 8000 tokens, more than most answers have
LABELS = {"prompt": "prompt", "response": "response", "ground_truth": "reference"}

_LOOKALIKES = re.compile(
    r"<(?=\s{0,3}/?\s{0,3}(?:prompt|response|reference)\b[^<>\n]{0,80}>)"  # our own markers
    r"|<(?=[|｜][^<>\n]{1,60}[|｜]>)"  # <|im_start|>, <|eot_id|>, <｜User｜>
    r"|<(?=<\s{0,2}/?SYS\s{0,2}>>)"
    r"|<(?=/?(?:s|bos|eos|pad|unk|start_of_turn|end_of_turn)>)"
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\])"
    r"|\[(?=\[[^\[\]\n]{1,20}\]\])",  # [[10]]: how many judges are asked to write their verdict
    re.IGNORECASE,
)
_SUBSTITUTES = {"<": "‹", "[": "⟦"}
# Control characters, text directions and Unicode tags: what a person reading along would not see.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")


def clean(text: str) -> str:
    """The text without unseen characters, and with nothing in it that a template could obey."""
    text = text.replace("\r\n", "\n").encode("utf-8", "replace").decode("utf-8")  # no surrogates
    return _LOOKALIKES.sub(lambda match: _SUBSTITUTES[match[0]], _UNSEEN.sub("", text))


def cut(text: str, longest: int = LONGEST) -> str:
    """Its beginning and its end when it is over-long, with a line between them that says so."""
    if len(text) <= longest:
        return text
    half = longest // 2
    left_out = f"[... {len(text) - 2 * half} characters left out here to save space ...]"
    return f"{text[:half]}\n{left_out}\n{text[-half:]}"


def frame(label: str, text: str, nonce: str) -> str:
    return f"<{label}-{nonce}>\n{text}\n</{label}-{nonce}>"


def reference(ground_truth: Any) -> str:
    """The ground truth as text; empty when there is none."""
    if hasattr(ground_truth, "tolist"):
        ground_truth = ground_truth.tolist()  # numpy, as parquet gives lists
    if isinstance(ground_truth, str):
        return ground_truth.strip()
    if ground_truth is None or (isinstance(ground_truth, Sequence | Mapping) and not ground_truth):
        return ""
    return json.dumps(ground_truth, ensure_ascii=False, default=str)


def _part(part: Any) -> str:
    if not isinstance(part, Mapping):
        return str(part)
    return str(part["text"]) if part.get("text") is not None else f"[{part.get('type', 'part')}]"


def _content(content: Any) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, Iterable) and not isinstance(content, Mapping):
        return "\n".join(map(_part, content))
    return _part(content)


def _calls(message: Mapping[str, Any]) -> Iterable[str]:
    for call in message.get("tool_calls") or ():
        function = call.get("function", call)
        yield f"[calls {function.get('name')}: {function.get('arguments')}]"


def _said(message: Mapping[str, Any]) -> str:
    return "\n".join([_content(message.get("content")), *_calls(message)]).strip()


def conversation(messages: Iterable[Mapping[str, Any]]) -> str:
    """A lone user message as it is; of several each under its role."""
    turns = [(str(message.get("role", "user")), _said(message)) for message in messages]
    if len(turns) == 1 and turns[0][0] == "user":
        return turns[0][1]
    return "\n\n".join(f"{role.capitalize()}:\n{text}" for role, text in turns)
