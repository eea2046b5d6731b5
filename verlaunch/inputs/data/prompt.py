"""All that a row asks: its prompt, and the columns beside it that belong to it.

    whole({"question": "Which?", "choices": ["Rome", "Paris"]}, "question")
    # messages of "Which?\n\nA. Rome\nB. Paris"; used: {"question", "choices"}

Choices (MMLU, ARC, CommonsenseQA), a system text, earlier turns, a context or passage, and an
`input` beside the instruction. Left out: prompts of verl's own layout, which are complete, and any
column that holds no text, which is told as not shown.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rewards.rules.options import Options, plain, read_options
from verlaunch.inputs.data.cells import is_text, loaded, mapping
from verlaunch.inputs.data.messages import Dropped, Messages, messages_of

SYSTEM = ("system", "system_prompt", "system_message")
HISTORY = ("history", "chat_history")
BEFORE = ("context", "contexts", "passage", "article", "background")
INPUT = "input"
CHOICES = ("choices", "options")
_INSIDE = ("contexts", "sentences", "text", "passages", "paragraphs")  # of a context that is a map
_PAIRS = (("user", "assistant"), ("human", "assistant"), ("prompt", "response"),
          ("question", "answer"), ("query", "response"), ("instruction", "output"))  # fmt: skip


@dataclass(frozen=True)
class Whole:
    """said: the assistant's closing answer, where the messages end with one."""

    messages: Messages
    said: str | None
    used: frozenset[str]


def whole(record: Mapping[str, Any], value: Any, name: str, answer: str | None) -> Whole:
    """value: of the prompt's column `name`. answer: the column that must not be shown."""
    messages, said = messages_of(value)
    if mapping(record.get("reward_model")):
        return Whole(messages, said, frozenset({name}))
    columns = _Columns(record, {name, answer})
    asked = messages[-1]["content"]
    is_alone = len(messages) == 1 and messages[0]["role"] == "user"
    if is_alone:
        messages = ({"role": "user", "content": _with_texts(messages[0]["content"], columns)},)
    messages = _with_choices(messages, columns)
    if is_alone:
        messages = (*_history(columns, {asked.strip(), messages[0]["content"].strip()}), *messages)
    if messages[0]["role"] != "system" and (system := columns.text(SYSTEM)):
        messages = ({"role": "system", "content": system}, *messages)
    return Whole(messages, said, frozenset({name, *columns.used}))


class _Columns:
    """The row's other columns by their names in any case; remembers which were taken."""

    def __init__(self, record: Mapping[str, Any], but: set[str | None]) -> None:
        self.names = {str(key).lower(): key for key in record if key not in but}
        self.record = record
        self.used: set[str] = set()

    def there(self, names: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        for name in names:
            key = self.names.get(name)
            if key is not None and self.record[key] not in (None, "", [], {}):
                yield key, self.record[key]

    def text(self, names: tuple[str, ...]) -> str | None:
        for key, value in self.there(names):
            if is_text(value):
                self.used.add(key)
                return str(value)
        return None


def _with_texts(prompt: str, columns: _Columns) -> str:
    """The context in front, the input behind; neither twice."""
    before = None
    for key, value in columns.there(BEFORE):
        if before := _passage(value):
            columns.used.add(key)
            break
    behind = columns.text((INPUT,))
    parts = [before, prompt, behind]
    return "\n\n".join(
        part for part in parts if part and (part is prompt or part.strip() not in prompt)
    )


def _passage(value: Any) -> str | None:
    """A text; a list of texts; HotpotQA's titles beside sentences; PubMedQA's map of contexts."""
    value = loaded(value)
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, Mapping):
        name = next((name for name in _INSIDE if value.get(name)), None)
        texts, titles = value.get(name or ""), value.get("title")
        if isinstance(texts, (list, tuple)) and isinstance(titles, (list, tuple)):
            value = list(zip(titles, texts, strict=False))
        else:
            value = texts
    return _flat(value) or None


def _flat(value: Any) -> str:
    """[["Rome", ["It is old. ", "It is big."]]] is "Rome\\nIt is old. It is big."."""
    if isinstance(value, str):
        return value.strip()
    if not isinstance(value, (list, tuple)):
        return ""
    if len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], (list, tuple)):
        sentences = "".join(map(str, value[1])) if all(map(is_text, value[1])) else ""
        return f"{value[0]}\n{sentences}".strip()
    return "\n\n".join(text for text in map(_flat, value) if text)


def _with_choices(messages: Messages, columns: _Columns) -> Messages:
    for key, value in columns.there(CHOICES):
        options = read_options({"choices": loaded(value)})
        if options is None or not any(options.texts):
            continue
        columns.used.add(key)
        *earlier, last = messages
        if last["role"] != "user" or any(_shows(m["content"], options) for m in messages):
            return messages
        pairs = zip(options.labels, options.texts, strict=True)
        lines = [f"{label}. {text}" for label, text in pairs if text]
        content = f"{last['content'].rstrip()}\n\n" + "\n".join(lines)
        return (*earlier, {"role": "user", "content": content})
    return messages


def _shows(prompt: str, options: Options) -> bool:
    """Whether the prompt lists them already: each text behind its label, or on a line."""
    lines = {plain(line) for line in prompt.splitlines()}
    listed = plain(prompt)
    pairs = zip(options.labels, map(plain, options.texts), strict=True)
    return all(
        text in lines or any(plain(f"{label}{sign} {text}") in listed for sign in (".", ")", ""))
        for label, text in pairs
    )


def _history(columns: _Columns, this: set[str]) -> Messages:
    """Earlier turns as messages or as pairs of question and answer. this: the question itself, in
    front of which they end."""
    for key, value in columns.there(HISTORY):
        columns.used.add(key)
        turns = loaded(value)
        if not isinstance(turns, (list, tuple)):
            raise Dropped(f"{key} holds neither messages nor pairs of question and answer")
        pairs = [_pair(turn) for turn in turns]
        if all(pairs):
            found = [
                {"role": role, "content": text}
                for pair in pairs
                if pair and pair[0].strip() not in this
                for role, text in zip(("user", "assistant"), pair, strict=True)
            ]
            return tuple(found)
        return _earlier(turns, this)
    return ()


def _earlier(turns: Any, this: set[str]) -> Messages:
    """Messages up to this question, if it stands among them too."""
    messages, said = messages_of(turns)
    closing = () if said is None else ({"role": "assistant", "content": said},)
    talk = (*messages, *closing)
    is_this = [m["role"] == "user" and m["content"].strip() in this for m in talk]
    return talk[: is_this.index(True)] if any(is_this) else talk


def _pair(turn: Any) -> tuple[str, str] | None:
    if isinstance(turn, Mapping):
        names = next((n for n in _PAIRS if set(n) <= set(turn)), None)
        turn = [turn[name] for name in names] if names else None
    if isinstance(turn, (list, tuple)) and len(turn) == 2:
        first, second = turn
        return (first, second) if isinstance(first, str) and isinstance(second, str) else None
    return None
