"""Are an export's small files the model's own? Read by tokenizers and json, not by what wrote them.

    prove_small(out / "actor", Wanted(base, stops=(151645,)))
    ->  "Tokenizer, chat template, ends and dtype are those of the model that training began with."

A model whose weights are right answers wrongly with another tokenizer, and goes on for ever
without its ends. Left out on purpose: tokenizers without a tokenizer.json, but for the bytes of
their model.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from safetensors import safe_open

from verlaunch.weights.shards import CannotExport

TEXTS = (
    "a b\n\n  x = 1, 23\n\tyes  ",
    "It's 3.5% of $x^2$; def f(n): return n\n",
    "你好，世界。 Ünïcödé",
)
SHORT = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}
KEEP = "keep"
SAID = "Tokenizer, chat template, ends and dtype are those of the model that training began with."


@dataclass(frozen=True)
class Wanted:
    """base: the folder that training began with. stops: ends that training added, as ids.
    template: of the run, where it had one of its own. dtype: as an export names it. whole: not of
    an adapter, which has neither ends nor a dtype of its own."""

    base: Path
    stops: tuple[int, ...] = ()
    template: str | None = None
    dtype: str = KEEP
    whole: bool = True


def prove_small(folder: Path, wanted: Wanted) -> str:
    """Raises CannotExport with all that differs."""
    checks = (_tokenizer, _template, *((_ends, _dtype) if wanted.whole else ()))
    wrong = [why for check in checks for why in check(folder, wanted)]
    if wrong:
        raise CannotExport(f"The exported {'; the '.join(wrong)}.")
    return SAID


def _json(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _tokenizer(folder: Path, wanted: Wanted) -> Iterator[str]:
    for file in wanted.base.glob("*.model"):
        copy = folder / file.name
        if not copy.is_file() or copy.read_bytes() != file.read_bytes():
            yield f"{file.name} is not the model's own"
    if not (wanted.base / "tokenizer.json").is_file():
        return
    if not (folder / "tokenizer.json").is_file():
        yield "folder has no tokenizer.json"
        return
    from tokenizers import Tokenizer

    ours, own = (Tokenizer.from_file(str(f / "tokenizer.json")) for f in (folder, wanted.base))
    # transformers adds what its class expects, as <|endoftext|>; nothing may be missing or move.
    known = own.get_vocab(with_added_tokens=True).items() <= ours.get_vocab(True).items()
    if not known or any(ours.encode(text).ids != own.encode(text).ids for text in TEXTS):
        yield "tokenizer gives other ids than the model's own"


def _own_template(folder: Path) -> Any:
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    return _json(folder / "tokenizer_config.json").get("chat_template")


def _template(folder: Path, wanted: Wanted) -> Iterator[str]:
    expected = wanted.template or _own_template(wanted.base)
    if expected and _own_template(folder) != expected:
        yield "chat template is not the one of training"


def _ends_of(folder: Path) -> set[int]:
    named = _json(folder / "generation_config.json").get("eos_token_id")
    if named is None:
        config = _json(folder / "config.json")
        named = config.get("eos_token_id", (config.get("text_config") or {}).get("eos_token_id"))
    return set(named if isinstance(named, list) else [] if named is None else [named])


def _ends(folder: Path, wanted: Wanted) -> Iterator[str]:
    found, expected = _ends_of(folder), _ends_of(wanted.base) | set(wanted.stops)
    if found != expected:
        yield f"ends are {sorted(found)}, and responses ended at {sorted(expected)}"


def _dtype(folder: Path, wanted: Wanted) -> Iterator[str]:
    """By the largest tensor: some families keep small ones in fp32."""
    config = _json(wanted.base / "config.json")
    name = config.get("dtype") or config.get("torch_dtype") or "float32"
    expected = SHORT.get(name if wanted.dtype == KEEP else wanted.dtype)
    tensors = [one for file in folder.glob("*.safetensors") for one in _header(file)]
    _, found = max(tensors, default=(0, None))
    if expected and found != expected:
        yield f"weights are kept as {found}, and {expected} was asked for"


def _header(file: Path) -> Iterator[tuple[int, str]]:
    """Numbers and type of each tensor."""
    with safe_open(file, "pt") as weights:
        for name in weights.keys():  # noqa: SIM118
            one = weights.get_slice(name)
            yield prod(one.get_shape()), one.get_dtype()
