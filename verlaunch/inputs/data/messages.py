"""A prompt as it comes (text, messages, ShareGPT turns) -> messages that a model can answer.

    messages_of("2+3?")  # (({"role": "user", "content": "2+3?"},), None)

Messages may be kept as text (JSON, or what Python prints) and under other words for role and
content. Text only: a message with an image in it, or of a tool, drops the row.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from verlaunch.inputs.data.cells import loaded

ROLES = {
    **dict.fromkeys(("user", "human", "prompter", "用户"), "user"),
    **dict.fromkeys(("assistant", "gpt", "bot", "model", "chatgpt", "ai", "助手"), "assistant"),
    **dict.fromkeys(("system", "developer", "系统"), "system"),
}
ROLE_KEYS = ("role", "from", "speaker")
CONTENT_KEYS = ("content", "value", "text", "message")
Messages = tuple[dict[str, str], ...]
_BEGINS = re.compile(r"\s*(array\()?\[\s*\{\s*['\"](role|from|content|value)['\"]\s*:")
_BETWEEN = re.compile(r"\}\s+\{(?=['\"](?:role|from|content|value)['\"])")
_SPOKEN = re.compile(r"(?:^|\n\n)(Human|Assistant):")
_ARRAY = re.compile(r"^array\(|,\s*dtype=object\)$")


class Dropped(Exception):
    """This row cannot be used; the text is the reason under which it is counted."""


def messages_of(value: Any) -> tuple[Messages, str | None]:
    """(messages, the assistant's closing answer if the list ends with one)."""
    value = _turns(value)
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


def turns_of(value: Any) -> Any:
    """Of a text of turns behind "Human:" and "Assistant:", the messages; else `value` itself."""
    before, *found = _SPOKEN.split(value) if isinstance(value, str) else [""]
    if before.strip() or len(found) <= 2:
        return value
    pairs = zip(found[::2], found[1::2], strict=True)
    return [{"role": role, "content": content.strip()} for role, content in pairs]


def _turns(value: Any) -> Any:
    """Messages that are kept as text, alone, or as a map of columns, as a list of them."""
    if isinstance(value, str):
        return _from_text(value)
    if not isinstance(value, Mapping):
        return value
    roles, contents = _first(value, ROLE_KEYS), _first(value, CONTENT_KEYS)
    if _are_columns(roles, contents):
        pairs = zip(roles, contents, strict=True)
        return [{"role": role, "content": content} for role, content in pairs]
    return [value] if _is_message(value) else value


def _from_text(value: str) -> Any:
    found = loaded(value)
    if found is value:  # an array prints without commas
        found = loaded(_BETWEEN.sub("}, {", _ARRAY.sub("", value)))
    items = found if isinstance(found, list) else [found]
    if items and all(map(_is_message, items)):
        return items
    if _BEGINS.match(value):
        raise Dropped("messages kept as text that is neither JSON nor Python's")
    return value


def _are_columns(*columns: Any) -> bool:
    are_lists = all(isinstance(column, (list, tuple)) for column in columns)
    return are_lists and len({len(column) for column in columns}) == 1


def _first(item: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((item[name] for name in names if item.get(name) is not None), None)


def _is_message(item: Any) -> bool:
    return isinstance(item, Mapping) and all(
        any(name in item for name in names)
        for names in (ROLE_KEYS, (*CONTENT_KEYS, "tool_calls", "function_call"))
    )


def _message(item: Any) -> dict[str, str]:
    if not isinstance(item, Mapping):
        raise Dropped("a message is not {role, content}")
    named, content = _first(item, ROLE_KEYS), _first(item, CONTENT_KEYS)
    if isinstance(named, str) and named.strip().lower() not in ROLES:
        raise Dropped(f"has a message of the role {named.strip()[:30]!r}")
    if item.get("tool_calls") or item.get("function_call"):
        raise Dropped("has a message that calls a tool")
    if isinstance(content, (list, tuple)):
        content = _joined(content)
    if not isinstance(named, str) or not isinstance(content, str):
        raise Dropped("a message is not {role, content}")
    return {"role": ROLES[named.strip().lower()], "content": content}


def _joined(content: Sequence[Any]) -> str:
    parts = [part.get("text") if isinstance(part, Mapping) else part for part in content]
    texts = [part for part in parts if isinstance(part, str)]
    if len(texts) < len(parts):
        raise Dropped("has images, video or audio (text only)")
    return "".join(texts)


def _type(value: Any) -> str:
    names = {"int": "number", "float": "number", "bool": "truth value", "dict": "map"}
    return names.get(type(value).__name__, type(value).__name__)
