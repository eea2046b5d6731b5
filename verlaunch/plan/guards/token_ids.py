"""The tokenizer's files, read without transformers: ids, end of text, chat template.

    [finding.text for finding in check(scene)]
    ->  ["--model ./m: its tokenizer has ids up to 32000, and the model's vocabulary ends at ..."]

Left out on purpose: tokenizers without a tokenizer.json (loading tells), templates with tags of
transformers' own ({% generation %}), and models on the hub that are not here yet.
"""

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verlaunch.config.tree import get
from verlaunch.errors import Finding
from verlaunch.inputs.models import Model
from verlaunch.plan.guards.scene import Scene

TEMPLATE = "actor_rollout_ref.model.custom_chat_template"
# Classes that know no end token by themselves; older ones bring theirs (Llama: </s>).
GENERIC = ("PreTrainedTokenizerFast", "PreTrainedTokenizer", "TokenizersBackend", None)
SAMPLE = "What is 2+3?"
OWN_TAGS = ("generation %}", "generation -%}", "generation -", "endgeneration")


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


def check(scene: Scene) -> Iterator[Finding]:
    model, who = scene.model, f"--model {scene.model.name}"
    try:
        known = vocabulary(model)
    except (ValueError, OSError, KeyError, TypeError) as error:
        yield Finding(
            f"{who}: its tokenizer.json cannot be read ({error}). Download it again: "
            f"hf download NAME tokenizer.json --local-dir {model.folder or 'FOLDER'}"
        )
        return
    template = _template(scene)
    if known is not None:
        yield from _ids(who, model, known, template or "")
        yield from _ends(who, model)
    if template:
        yield from _rendered(scene, template)


def _name(token: Any) -> str | None:
    return token.get("content") if isinstance(token, dict) else token


def _special(model: Model, kind: str) -> str | None:
    """The text of its end or padding token, wherever it is written."""
    for file in ("tokenizer_config.json", "special_tokens_map.json"):
        if token := settings(model, file).get(kind):
            return _name(token)
    return None


def _ids(who: str, model: Model, known: Vocabulary, template: str) -> Iterator[Finding]:
    """Ids beyond the embedding are an index error inside a GPU kernel at the first batch. Many
    models carry some that no text produces (Gemma's image token): those are a warning."""
    beyond = {text for text, index in known.special.items() if index >= model.vocab_size}
    words = any(index >= model.vocab_size for index in known.tokens.values())
    if not beyond and not words:
        return
    ends = (_special(model, "eos_token"), _special(model, "pad_token"))
    used = {text for text in beyond if text in ends or text in template}
    which = ", ".join(sorted(used or beyond)[:3]) or "words of its own"
    text = (
        f"{who}: its tokenizer has ids up to {known.last}, and the model's vocabulary ends at "
        f"{model.vocab_size - 1} ({which}). "
    )
    if used or words:
        yield Finding(
            f"{text}The first batch would stop with an index error. Take the tokenizer that "
            "belongs to the model, or enlarge the model (resize_token_embeddings) and save it."
        )
    else:
        yield Finding(f"{text}Keep such tokens out of prompts.", stops=False)


def _ends(who: str, model: Model) -> Iterator[Finding]:
    """verl pads with the end token where there is no other (token_ids.py:145)."""
    kind = settings(model, "tokenizer_config.json").get("tokenizer_class")
    if kind not in GENERIC or _special(model, "eos_token"):
        return
    if not _special(model, "pad_token"):
        yield Finding(
            f"{who}: its tokenizer names neither an end token nor a padding token, and verl needs "
            'one of them. Add "eos_token": "TOKEN" to its tokenizer_config.json.'
        )
        return
    ids = [model.config.get("eos_token_id"),
           settings(model, "generation_config.json").get("eos_token_id")]  # fmt: skip
    if not any(index is not None for index in ids):
        yield Finding(
            f"{who} has no end token (tokenizer_config.json, generation_config.json): every "
            "response would go on to --max_response_length.",
            stops=False,
        )


def _template(scene: Scene) -> str | None:
    """The chat template that will be used; None for the launcher's own."""
    if given := get(scene.config.verl, TEMPLATE):
        return str(given)
    if file := file_of(scene.model, "chat_template.jinja"):
        return file.read_text(encoding="utf-8")
    found = settings(scene.model, "tokenizer_config.json").get("chat_template")
    if isinstance(found, list):  # several, by name
        named = {entry.get("name"): entry.get("template") for entry in found}
        found = named.get("default")
    return found if isinstance(found, str) else None


def _rendered(scene: Scene, template: str) -> Iterator[Finding]:
    if any(tag in template for tag in OWN_TAGS):
        return
    who = TEMPLATE if get(scene.config.verl, TEMPLATE) else f"--model {scene.model.name}"
    use = f"Mend it, or set another: {TEMPLATE}=JINJA."
    try:
        text = _render(template, scene.model)
    except Exception as error:  # a template is its author's program and may raise anything
        why = " ".join(str(error).split())[:160] or type(error).__name__
        yield Finding(f"{who}: the chat template does not take a single question ({why}). {use}")
        return
    if SAMPLE not in text:
        yield Finding(
            f"{who}: the chat template leaves the prompt out (it makes {text[:60]!r}). {use}"
        )


def _render(template: str, model: Model) -> str:
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
    tokens = {kind: _special(model, kind) or "" for kind in ("bos_token", "eos_token")}
    return world.from_string(template).render(
        messages=[{"role": "user", "content": SAMPLE}], tools=None, documents=None,
        add_generation_prompt=True, **tokens,
    )  # fmt: skip
