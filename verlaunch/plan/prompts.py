"""What the model reads of the data, before anything is tokenized: one prompt, and refused rows.

    example(model, verl, look)     ->  "<|im_start|>user\\nWhat is 2+3?<|im_end|>\\n<|im_start|>..."
    about_tokens(look)             ->  31
    refused(model, verl, look)     ->  [Finding("5 of 24 rows looked at are refused by ...")]

A template refuses by roles (no system, strict turns), so one row of each order of roles is tried.
Left out on purpose: models that are not here yet, and lengths; a start measures every row.
"""

from typing import Any

from verlaunch.errors import Finding
from verlaunch.inputs.data.chat import DEFAULT_CHAT_TEMPLATE
from verlaunch.inputs.data.look import Look
from verlaunch.inputs.models import Model
from verlaunch.plan.tokenizer_files import TEMPLATE, file_of, render, template_of
from verlaunch.text import plural

LETTERS = 4  # of a token, about; in English
MOST_WORDS = 160  # characters of what a template says
ALONE = ("user",)  # what the guard of templates tries


def _template(verl: dict[str, Any], model: Model) -> str | None:
    """None where the model's files are not here."""
    is_here = file_of(model, "tokenizer_config.json") or file_of(model, "tokenizer.json")
    return (template_of(verl, model) or DEFAULT_CHAT_TEMPLATE) if is_here else None


def example(verl: dict[str, Any], model: Model, look: Look) -> str | None:
    """The first prompt that the template takes, as its tokens decode; None where nobody can say."""
    template = _template(verl, model)
    for first in look.first if template else ():
        try:
            return _decoded(render(template or "", model, first.prompt), model)
        except Exception:  # a template is its author's program; `refused` counts
            continue
    return None


def _decoded(text: str, model: Model) -> str | None:
    """A token that is not there cannot be seen; None for tokenizers of other files."""
    path = file_of(model, "tokenizer.json")
    if path is None:
        return None
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    return str(tokenizer.decode(ids, skip_special_tokens=False))


def about_tokens(look: Look) -> int | None:
    """The mean of the first prompts, guessed from their letters; None where no row was read."""
    letters = [sum(len(str(m.get("content") or "")) for m in row.prompt) for row in look.first]
    return sum(letters) // (LETTERS * len(letters)) if letters else None


def refused(verl: dict[str, Any], model: Model, look: Look) -> list[Finding]:
    """One for each thing that the template says, with its share of the rows."""
    template = _template(verl, model)
    said: dict[str, int] = {}
    for roles, (count, row) in look.shapes.items() if template else ():
        if roles == ALONE:
            continue
        try:
            render(template or "", model, row.prompt)
        except Exception as error:  # as above
            words = " ".join(str(error).split())[:MOST_WORDS] or type(error).__name__
            said[words] = said.get(words, 0) + count
    rows = sum(count for count, _ in look.shapes.values())
    stops = bool(said) and sum(said.values()) == rows
    return [_finding(words, count, rows, model, stops) for words, count in said.items()]


def _finding(words: str, count: int, rows: int, model: Model, stops: bool) -> Finding:
    then = "" if stops else ": they are left out"
    return Finding(
        f"{count} of {plural(rows, 'row')} looked at are refused by the chat template of "
        f'{model.name} ("{words}"){then}. Take data without such roles, or set another template: '
        f"{TEMPLATE}=JINJA.",
        stops,
    )
