"""Scoring prompts: text with {prompt}, {response} and {ground_truth} in it, filled in one pass.

    fill("Q: {prompt}\nA: {response}", {"prompt": "{response}?", "response": "}{"})
    # "Q: {response}?\nA: }{"

Only these three names are placeholders, so a JSON example may stand in the text as it is, and what
is filled in is never looked at again. Left out on purpose: loops, conditions, escapes.
"""

import difflib
import re
from collections.abc import Mapping

PLACEHOLDERS = ("prompt", "response", "ground_truth")
# What others call them: a prompt brought along from elsewhere would be filled with nothing.
ALIASES = {
    "prompt": ("question", "query", "instruction", "input", "problem", "conversation", "messages"),
    "response": ("answer", "completion", "output", "reply", "prediction", "generation"),
    "ground_truth": ("reference", "reference_answer", "truth", "target", "label", "expected"),
}
_FILLED = re.compile(r"\{(" + "|".join(PLACEHOLDERS) + r")\}")
# {word}, but not \boxed{word}: in a formula the brace belongs to the command before it
_LIKE_ONE = re.compile(r"(?<![\w\\])\{(\s{0,4}[A-Za-z_][\w .-]{0,40})\}")
_PARAGRAPH = re.compile(r"\n[ \t]*\n")
_MEANT = {alias: name for name, aliases in ALIASES.items() for alias in aliases}


def _meant(word: str) -> str | None:
    """The placeholder that a word in braces was probably meant to be."""
    plain = re.sub(r"[\s.-]+", "_", word.strip().lower())
    if plain in _MEANT:
        return _MEANT[plain]
    close = difflib.get_close_matches(plain, PLACEHOLDERS, n=1, cutoff=0.75)
    return close[0] if close else None


def names(template: str) -> set[str]:
    """The placeholders in use."""
    return set(_FILLED.findall(template))


def check_placeholders(template: str) -> list[str]:
    """One sentence for each thing that would keep the judge from seeing what it needs."""
    allowed = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
    found = []
    for word in dict.fromkeys(_LIKE_ONE.findall(template)):
        if word not in PLACEHOLDERS and (meant := _meant(word)):
            found.append(
                f"it has {{{word}}}, which is filled with nothing; the placeholders are {allowed}. "
                f"Did you mean {{{meant}}}?"
            )
    if "response" not in names(template):
        found.append("it has no {response}, so the judge would not see what it grades; add it")
    return found


def without(template: str, name: str) -> str:
    """The template less its paragraphs whose only placeholder is this one."""
    kept = [part for part in _PARAGRAPH.split(template) if names(part) != {name}]
    return "\n\n".join(kept)


def fill(template: str, values: Mapping[str, str]) -> str:
    """Each placeholder by its value, in a single pass."""
    return _FILLED.sub(lambda match: values[match[1]], template)
