r"""The options of a multiple-choice row, and which of them a word of the row means.

    options = read_options({"choices": {"text": ["Rome", "Paris"], "label": ["1", "2"]}})
    key(r"\boxed{2}", options)   # 1, counted from 0
    options.named                # {"1": 0, "2": 1, "A": 0, "B": 1}

`choices` or `options`: a list of texts, a map of lists (ARC's), a list of maps, a map from label to
text, or any of these as JSON text. Left out: what a response says (`choice`).
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from rewards.rules.said import said

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
WITHOUT_OPTIONS = 10  # letters, as long as the reference is none of those behind
MOST_WITHOUT_OPTIONS = 20
_TEXT, _LABEL = ("text", "content", "value", "option"), ("label", "key", "id", "letter")
_TYPESET = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|boxed|fbox)\s?\{|\\[()\[\]]|[${}*`]")
_WORD_SIGNS = re.compile(
    r"(?<!\d)[.,;:!?]+(?!\d)|[.,;:?]+(?!\S)|[\"'“”‘’_]|(?<=[a-z]{2})-(?=[a-z]{2})"
)
_DASH = re.compile(r"[\u2010-\u2015\u2212]")
_HEAD = re.compile(r"\(?([A-Za-z0-9]{1,2})[).:、]\s*(?=\S)")


def plain(text: Any) -> str:
    """Without typesetting, capitals and the signs of a sentence; a number keeps sign and point."""
    bare = _TYPESET.sub("", _DASH.sub("-", str(text))).replace("\\", "")
    return " ".join(_WORD_SIGNS.sub(" ", bare.casefold()).split())


@lru_cache(maxsize=256)
def _named(labels: tuple[str, ...]) -> dict[str, int]:
    """Where the labels are no letters, letters by position mean the options too."""
    own = {label.upper(): at for at, label in enumerate(labels)}
    if any(len(label) == 1 and label.isalpha() for label in labels):
        return own
    return {letter: at for at, letter in enumerate(LETTERS[: len(labels)])} | own


@dataclass(frozen=True)
class Options:
    """labels: as the row has them, or letters. texts: empty where a row has none."""

    labels: tuple[str, ...]
    texts: tuple[str, ...] = ()

    @property
    def named(self) -> dict[str, int]:
        """Label -> option."""
        return _named(self.labels)

    def with_text(self, text: str) -> int | None:
        """The one option that reads so."""
        wanted = plain(text) if self.texts else ""
        found = [at for at, own in enumerate(self.texts) if wanted and plain(own) == wanted]
        return found[0] if len(found) == 1 else None


def _list(value: Any) -> list[Any]:
    """Parquet gives arrays where JSON had lists."""
    value = value.tolist() if hasattr(value, "tolist") else value
    return list(value) if isinstance(value, list | tuple) else []


def _of_map(given: Mapping[str, Any]) -> Options:
    for name in _TEXT:
        if texts := _list(given.get(name)):
            labels = next((found for key in _LABEL if (found := _list(given.get(key)))), [])
            return _options(texts, labels)
    there = {str(key): text for key, text in given.items() if text is not None}
    return _options([there[key] for key in sorted(there)], sorted(there))


def _field(item: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((item[name] for name in names if item.get(name) is not None), None)


def _of_list(given: list[Any]) -> Options:
    if all(isinstance(item, Mapping) for item in given):
        labels = [_field(item, _LABEL) for item in given]
        return _options([_field(item, _TEXT) for item in given], labels)
    heads = [_HEAD.match(str(text)) for text in given]
    labels = [head[1].upper() if head else "" for head in heads]
    if labels == list(LETTERS[: len(labels)]):  # "A) Rome", "B) Paris"
        return _options([str(t)[h.end() :] for t, h in zip(given, heads, strict=True) if h], labels)
    return _options(given, [])


def _options(texts: Sequence[Any], labels: Sequence[Any]) -> Options:
    is_labelled = len(labels) == len(texts) and all(label not in (None, "") for label in labels)
    named = [str(label).strip("(). ") for label in labels] if is_labelled else LETTERS[: len(texts)]
    return Options(tuple(named), tuple("" if text is None else str(text) for text in texts))


def _loaded(given: Any) -> Any:
    try:
        return json.loads(given) if isinstance(given, str) else given
    except (ValueError, RecursionError):
        return None


def read_options(extra_info: Mapping[str, Any] | None) -> Options | None:
    """None where the row has none that can be read."""
    for name in ("choices", "options"):
        given = _loaded((extra_info or {}).get(name))
        found = _of_map(given) if isinstance(given, Mapping) else None
        listed = _list(given)
        found = _of_list(listed) if listed else found
        if found is not None and found.labels:
            return found
    return None


def lettered(truth: Any) -> Options:
    """For a row without options: A to J, and further where the reference says so."""
    letter = _bare(truth).upper()
    is_further = len(letter) == 1 and letter in LETTERS[:MOST_WITHOUT_OPTIONS]
    last = max(WITHOUT_OPTIONS, LETTERS.index(letter) + 1 if is_further else 0)
    return Options(tuple(LETTERS[:last]))


def _unwrapped(truth: Any) -> str:
    """What a reference says: "\\boxed{B}" and "<answer>B</answer>" are B."""
    text = said(str(int(truth)) if isinstance(truth, float) and truth == truth // 1 else str(truth))
    return _TYPESET.sub("", text.text).strip()


def _bare(truth: Any) -> str:
    """The label of "(B)", "B." and "B. Paris"; else the text itself."""
    text = _unwrapped(truth)
    alone = text.strip("(). :*")
    head = _HEAD.match(text)
    return head[1] if head and not alone.isdecimal() else alone


def _headed(text: str, options: Options) -> int | None:
    """ "B. Paris", where Paris is B's text or no texts are known."""
    head = _HEAD.match(text)
    at = options.named.get(head[1].upper()) if head else None
    if head is None or at is None:
        return None
    says = plain(text[head.end() :])
    return at if not options.texts or says == plain(options.texts[at]) else None


def key(truth: Any, options: Options) -> int:
    """The right option's place: by its label, its text, or an index from 0. Raises ValueError."""
    by_label = options.named.get(truth) if isinstance(truth, str) else None
    text = "" if by_label is not None else _unwrapped(truth)
    if by_label is None:  # "B", "(b)", "2"
        by_label = options.named.get(text.strip("(). :*").upper())
    if by_label is not None:
        return by_label
    by_text, by_head = options.with_text(text), _headed(text, options)
    indexed = int(text) if text.isdecimal() and len(text) < 4 else None
    by_index = indexed if indexed is not None and indexed < len(options.labels) else None
    if isinstance(truth, int | float) and by_index is not None:
        return by_index
    if by_text is not None and by_index not in (None, by_text):
        raise ValueError(
            f"ground_truth {text!r} is the text of option {options.labels[by_text]} and, counted "
            f"from 0, the option {options.labels[by_index or 0]}; write the letter"
        )
    found = next((at for at in (by_text, by_head, by_index) if at is not None), None)
    if found is None:
        raise ValueError(
            f"ground_truth {text[:40]!r} is no option's label ({options.labels[0]} to "
            f"{options.labels[-1]}), no index from 0, and no text in extra_info['choices']"
        )
    return found
