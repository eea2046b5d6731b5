"""A tokenizer's files and chat template, read without transformers.

    vocabulary(model).special            ->  {"<|im_end|>": 151645, ...}
    turn_end(model, template)            ->  Turn("<|im_end|>", 151645, ends=("<|endoftext|>",))

A template closes an assistant's turn with a token that a base model (Qwen2.5's) does not end at: a
right answer would go on to a next turn, and the reward would read that. Left out on purpose:
tokenizers without a tokenizer.json, whose added tokens alone are known, and models on the hub that
are not here yet.
"""

import functools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verlaunch.config.tree import Config, get
from verlaunch.inputs.models import Model

TEMPLATE = "actor_rollout_ref.model.custom_chat_template"
SAMPLE, ANSWER = "What is 2+3?", "It is 5."
QUESTION = ({"role": "user", "content": SAMPLE},)
# transformers' own tags, which mark what a loss is on and print nothing.
MARKS = re.compile(r"\{%(-?)\s*(?:end)?generation\s*(-?)%\}")


@dataclass(frozen=True)
class Vocabulary:
    """tokens: text -> id; special: those that were added beside the trained ones."""

    tokens: dict[str, int]
    special: dict[str, int]

    @property
    def last(self) -> int:
        return max([*self.tokens.values(), *self.special.values()], default=-1)


def file_of(model: Model, name: str) -> Path | None:
    """A small file of a model, from its folder or the hub's cache; None when it is not here."""
    if model.folder is not None:
        path = model.folder / name
        return path if path.is_file() else None
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(model.name, name)
    except HFValidationError:  # the demo's own, which is on no hub
        return None
    return Path(found) if isinstance(found, str) else None


def settings(model: Model, name: str) -> dict[str, Any]:
    """A JSON file as a dict; empty where there is none that can be read."""
    path = file_of(model, name)
    return json_of(path) if path else {}


def json_of(path: Path) -> dict[str, Any]:
    """Empty where the file cannot be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


@functools.lru_cache(maxsize=4)
def _parsed(path: Path, stamp: float) -> dict[str, Any]:
    """0.15 s for the 11 MB of Qwen's; read once for all who ask."""
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError(f"it holds a {type(found).__name__}, not an object")
    return found


def vocabulary(model: Model) -> Vocabulary | None:
    """Of tokenizer.json; None when there is none. Raises ValueError when it is not one."""
    path = file_of(model, "tokenizer.json")
    if path is None:
        return None
    found = _parsed(path, path.stat().st_mtime)
    words = (found.get("model") or {}).get("vocab") or {}
    if isinstance(words, list):  # Unigram: pairs of text and score, in the order of the ids
        words = {pair[0]: index for index, pair in enumerate(words)}
    added = {token["content"]: token["id"] for token in found.get("added_tokens") or []}
    return Vocabulary(words, added)


def _name(token: Any) -> str | None:
    return token.get("content") if isinstance(token, dict) else token


def special(model: Model, kind: str) -> str | None:
    """The text of its end or padding token, wherever it is written."""
    for file in ("tokenizer_config.json", "special_tokens_map.json"):
        if token := settings(model, file).get(kind):
            return _name(token)
    return None


def template_of(verl: dict[str, Any], model: Model) -> str | None:
    """The chat template that will be used; None for the launcher's own."""
    if given := get(verl, TEMPLATE):
        return str(given)
    if file := file_of(model, "chat_template.jinja"):
        return file.read_text(encoding="utf-8")
    found = settings(model, "tokenizer_config.json").get("chat_template")
    if isinstance(found, list):  # several, by name
        named = {entry.get("name"): entry.get("template") for entry in found}
        found = named.get("default")
    return found if isinstance(found, str) else None


def render(
    template: str, model: Model, messages: Sequence[dict[str, str]] = QUESTION, asks: bool = True
) -> str:
    """As transformers does it (utils/chat_template_utils.py), in jinja2's sandbox."""
    import jinja2
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(message: str) -> None:
        raise jinja2.TemplateError(message)

    world = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    world.filters["tojson"] = lambda value, **_: json.dumps(value, ensure_ascii=False)
    world.globals["raise_exception"] = refuse
    world.globals["strftime_now"] = lambda form: form
    tokens = {kind: special(model, kind) or "" for kind in ("bos_token", "eos_token")}
    return world.from_string(MARKS.sub(r"{#\1 \2#}", template)).render(
        messages=list(messages), tools=None, documents=None, add_generation_prompt=asks, **tokens
    )


@dataclass(frozen=True)
class Turn:
    """token, id: of the end of a turn. ends: the tokens (or ids) that vLLM ends at by itself."""

    token: str
    id: int
    ends: tuple[str, ...]


def turn_end(model: Model, template: str | None) -> Turn | None:
    """The token with which the template closes an assistant's turn, where the model does not end
    at it; None where there is none. vLLM ends at the tokenizer's end token and at those of
    generation_config.json, or of config.json where that file is missing."""
    added = _added(model)
    closing = _closing(model, template, added) if template and added else None
    if closing is None:
        return None
    known = {index: text for text, index in added.items()}
    file = "generation_config.json" if file_of(model, "generation_config.json") else "config.json"
    named = settings(model, file).get("eos_token_id")
    own = added.get(special(model, "eos_token") or "")
    ids = {own, *(named if isinstance(named, list) else [named])} - {None}
    ends = sorted(known.get(index, str(index)) for index in ids)
    return None if added[closing] in ids else Turn(closing, added[closing], tuple(ends))


def turn_of(config: Config, model: Model) -> Turn | None:
    """What a run adds to its model's ends."""
    if not config.launch["stop_at_turn_end"]:
        return None
    return turn_end(model, template_of(config.verl, model))


def _closing(model: Model, template: str, added: dict[str, int]) -> str | None:
    """The added token that follows an answer, if one does."""
    talk = [*QUESTION, {"role": "assistant", "content": ANSWER}]
    try:
        text = render(template, model, talk, asks=False)
    except Exception:  # a template is its author's program; the guard of templates tells
        return None
    after = text.rpartition(ANSWER)[2].lstrip()
    return max((token for token in added if after.startswith(token)), key=len, default=None)


def _added(model: Model) -> dict[str, int]:
    try:
        known = vocabulary(model)
    except (ValueError, OSError, KeyError, TypeError):  # the guard of ids tells
        return {}
    if known is not None:
        return known.special
    listed = settings(model, "tokenizer_config.json").get("added_tokens_decoder") or {}
    return {token["content"]: int(index) for index, token in listed.items()}
