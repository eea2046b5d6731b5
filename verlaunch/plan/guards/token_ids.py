"""The tokenizer's files, read without transformers: ids, end of text, chat template.

    [finding.text for finding in check(scene)]
    ->  ["--model ./m: its tokenizer has ids up to 32000, and the model's vocabulary ends at ..."]

Left out on purpose: tokenizers without a tokenizer.json (loading tells), and models on the hub that
are not here yet.
"""

from collections.abc import Iterator

from verlaunch.config.tree import get
from verlaunch.errors import Finding
from verlaunch.inputs.models import Model
from verlaunch.inputs.tokenizer import difference
from verlaunch.plan.guards.scene import Scene
from verlaunch.plan.tokenizer_files import (
    SAMPLE,
    TEMPLATE,
    Vocabulary,
    file_of,
    render,
    settings,
    special,
    template_of,
    vocabulary,
)

# Classes that know no end token by themselves; older ones bring theirs (Llama: </s>).
GENERIC = ("PreTrainedTokenizerFast", "PreTrainedTokenizer", "TokenizersBackend", None)


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
    template = template_of(scene.config.verl, scene.model)
    if known is not None:
        yield from _ids(who, model, known, template or "")
        yield from _ends(who, model)
        yield from _as_written(who, model)
    if template:
        yield from _rendered(scene, template)


def _ids(who: str, model: Model, known: Vocabulary, template: str) -> Iterator[Finding]:
    """Ids beyond the embedding are an index error inside a GPU kernel at the first batch. Many
    models carry some that no text produces (Gemma's image token): those are a warning."""
    beyond = {text for text, index in known.special.items() if index >= model.vocab_size}
    words = any(index >= model.vocab_size for index in known.tokens.values())
    if not beyond and not words:
        return
    ends = (special(model, "eos_token"), special(model, "pad_token"))
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
    if kind not in GENERIC or special(model, "eos_token"):
        return
    if not special(model, "pad_token"):
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


def _as_written(who: str, model: Model) -> Iterator[Finding]:
    file = file_of(model, "tokenizer.json")
    if file is None or (lost := difference(file.parent)) is None:
        return
    yield Finding(
        f"{who}: transformers reads its tokenizer otherwise than the file says: {lost}. This run "
        "goes by the file; whoever loads the trained model by transformers 5.9 or 5.10 needs "
        '"tokenizer_class": "PreTrainedTokenizerFast" in its tokenizer_config.json.',
        stops=False,
    )


def _rendered(scene: Scene, template: str) -> Iterator[Finding]:
    who = TEMPLATE if get(scene.config.verl, TEMPLATE) else f"--model {scene.model.name}"
    use = f"Fix it, or set another: {TEMPLATE}=JINJA."
    try:
        text = render(template, scene.model)
    except Exception as error:  # a template is its author's program and may raise anything
        why = " ".join(str(error).split())[:160] or type(error).__name__
        yield Finding(f"{who}: the chat template does not take a single question ({why}). {use}")
        return
    if SAMPLE not in text:
        yield Finding(
            f"{who}: the chat template leaves the prompt out (it makes {text[:60]!r}). {use}"
        )
