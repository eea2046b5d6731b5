"""A prompt as it comes (text, messages, ShareGPT turns) -> messages that a model can answer.

    messages_of("2+3?")  # (({"role": "user", "content": "2+3?"},), None)

Text only: a message with an image in it drops the row.
"""

from collections.abc import Mapping
from typing import Any

ROLES = {"human": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant"}


class Dropped(Exception):
    """This row cannot be used; the text is the reason under which it is counted."""


def messages_of(value: Any) -> tuple[tuple[dict[str, str], ...], str | None]:
    """(messages, the assistant's closing answer if the list ends with one)."""
    if isinstance(value, str):
        value = [{"role": "user", "content": value}]
    if value is None:
        raise Dropped("empty prompt")
    if not isinstance(value, (list, tuple)):
        raise Dropped(f"the prompt is a {_type(value)}, not text or messages")
    messages = [_message(item) for item in value]
    said = None
    while messages and messages[-1]["role"] == "assistant":
        said = messages.pop()["content"]
    if not any(m["content"].strip() for m in messages if m["role"] != "system"):
        raise Dropped("empty prompt")
    return tuple(messages), said


def _message(item: Any) -> dict[str, str]:
    if not isinstance(item, Mapping):
        raise Dropped("a message is not {role, content}")
    role = item.get("role", item.get("from"))
    content = item.get("content", item.get("value"))
    if isinstance(content, (list, tuple)):
        parts = [part.get("text") if isinstance(part, Mapping) else part for part in content]
        texts = [part for part in parts if isinstance(part, str)]
        if len(texts) < len(parts):
            raise Dropped("has images, video or audio (text only)")
        content = "".join(texts)
    if not isinstance(role, str) or not isinstance(content, str):
        raise Dropped("a message is not {role, content}")
    return {"role": ROLES.get(role, role), "content": content}


def _type(value: Any) -> str:
    names = {"int": "number", "float": "number", "bool": "truth value", "dict": "map"}
    return names.get(type(value).__name__, type(value).__name__)
