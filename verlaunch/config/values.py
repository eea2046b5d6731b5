"""What a flag's text means: its type, its range, its choices, and how to say what is allowed.

    read(flag, "--clip_ratio", "0.2")   ->  0.2
    read(flag, "--clip_ratio", "2")     ->  UserError("--clip_ratio 2: takes a number above 0 and
                                            below 1.")

Left out on purpose: whether a file or model exists. That is asked later, by those who open it.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml

from verlaunch.errors import UserError

WORDS = {"true": True, "yes": True, "on": True, "1": True}
WORDS |= {"false": False, "no": False, "off": False, "0": False}
TYPES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "some text",
    "path": "a path",
    "list": "a list such as a,b",
}
UNITS = ("SECONDS", "MINUTES")  # metavars that are worth saying in an error


@dataclass(frozen=True)
class Flag:
    """One row of configs/flags.yaml; the words are explained at its top."""

    name: str
    group: str
    type: str
    help: str
    keys: tuple[str, ...]
    env: str | None = None
    choices: dict[str, dict[str, Any]] | tuple[str, ...] | None = None
    metavar: str | None = None
    min: float | None = None
    max: float | None = None
    above: float | None = None
    below: float | None = None
    unset: str | None = None
    needs: str | None = None
    action: str | None = None
    bare: str | None = None


def said(source: str, text: str) -> str:
    """The setting as it was typed: `--lr 0` or `LEARNING_RATE=0`."""
    return f"{source} {text}" if source.startswith("--") else f"{source}={text}"


def closest(word: str, known: Iterable[str], what: str = "") -> str:
    """ " Did you mean X?" with a leading space, or nothing when no known word is near."""
    import difflib  # only a mistake needs it

    lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), list(lower), n=1, cutoff=0.6)
    begun = [name for name in lower if name.startswith(f"{word.lower()}_")]  # rlhf: rlhf_align
    found = [*near, *begun][:1]
    return f" Did you mean {what}{lower[found[0]]}?" if found else ""


def allowed(flag: Flag) -> str:
    """What a flag takes, in words: "a number above 0 and below 1"."""
    if flag.choices:
        return f"{'a list' if flag.type == 'list' else 'one'} of " + ", ".join(flag.choices)
    bounds = [("at least", flag.min), ("above", flag.above)]
    bounds += [("at most", flag.max), ("below", flag.below)]
    said_bounds = [f"{word} {bound:g}" for word, bound in bounds if bound is not None]
    unit = f" of {flag.metavar.lower()}" if flag.metavar in UNITS else ""
    return f"{TYPES[flag.type]}{unit} {' and '.join(said_bounds)}".strip()


def _in_range(flag: Flag, number: float) -> bool:
    return (
        math.isfinite(number)
        and (flag.min is None or number >= flag.min)
        and (flag.max is None or number <= flag.max)
        and (flag.above is None or number > flag.above)
        and (flag.below is None or number < flag.below)
    )


def fits(flag: Flag, value: Any) -> bool:
    """Whether a flag takes a value that has its type already: one from YAML or key=value.

    Lists of free items are looked at by those who read them.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if flag.type == "list":
        known = flag.choices
        return known is None or (isinstance(value, list) and all(item in known for item in value))
    if flag.choices:
        return isinstance(value, str) and value in flag.choices
    if flag.type == "bool":
        return isinstance(value, bool)
    if flag.type in ("int", "float"):
        whole = isinstance(value, int) or flag.type == "float"
        return number and whole and _in_range(flag, value)
    if number:
        return "NUMBER" in (flag.metavar or "")
    return isinstance(value, str) and bool(value.strip())


def _items(text: str) -> list[Any]:
    if text[:1] not in "[{":
        return [item.strip() for item in text.split(",") if item.strip()]
    parsed = yaml.safe_load(text)
    return parsed if isinstance(parsed, list) else [parsed]


def _convert(flag: Flag, text: str) -> Any:
    if flag.type in ("int", "float"):
        number = int(text) if flag.type == "int" else float(text)
        if not _in_range(flag, number):
            raise ValueError(text)
        return number
    if flag.type == "bool":
        return WORDS[text.lower()]
    if flag.type == "list":
        return _items(text)
    return text


def _of_kubernetes(flag: Flag, source: str, text: str) -> str:
    """Into each pod it sets NAME_PORT=tcp://10.0.0.7:80 for every Service of its namespace."""
    if not (source.endswith("_PORT") and re.match(r"(tcp|udp|sctp)://", text.strip())):
        return ""
    service = source.removesuffix("_PORT").lower().replace("_", "-")
    return (
        f" Kubernetes has set it, for a Service that is named {service}. Type: unset {source}, or "
        f"--{flag.name} {flag.metavar or 'NUMBER'}; enableServiceLinks: false in the pod ends it."
    )


def read(flag: Flag, source: str, text: str) -> Any:
    """The typed value of a text. Raises UserError with what came and what is allowed."""
    if not text.strip():
        raise UserError(f"{source} is empty; it takes {allowed(flag)}.")
    if flag.bare and text.lower() in WORDS:
        return flag.bare if WORDS[text.lower()] else None
    try:
        value = _convert(flag, text.strip() if flag.type not in ("str", "path") else text)
    except (ValueError, KeyError, yaml.YAMLError):
        whose = _of_kubernetes(flag, source, text)
        raise UserError(f"{said(source, text)}: takes {allowed(flag)}.{whose}") from None
    for item in value if flag.type == "list" else [value]:
        if flag.choices and item not in flag.choices:
            choices = ", ".join(flag.choices)
            near = closest(str(item), flag.choices)
            raise UserError(f"{said(source, text)}: takes one of {choices}.{near}")
    return value
