r"""Hydra's override grammar, written and read.

    write("trainer.experiment_name", "it's $5, {really}")
    ->  "++trainer.experiment_name='it\\'s $5, {really}'"
    read("+critic.fsdp.micro_batch_size_per_gpu=4")
    ->  Override("critic.fsdp.micro_batch_size_per_gpu", 4, ...)

Every override is sent as ++key=value: whether a key exists is our own question (keys.py), asked
with a better answer than Hydra's. Left out on purpose: sweeps (a=1,2) and config groups
(recipe=x), which have flags.
"""

import re
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from verlaunch.config.keys import flatten
from verlaunch.errors import UserError

_NAME = re.compile(r"[A-Za-z_][\w.-]*")
GROUPS = {
    "recipe": "choose it with --recipe NAME.",
    "hardware": "choose it with --hardware cpu or --hardware gpu.",
    "model_engine": "verlaunch trains with FSDP. Leave it out.",
}


@dataclass(frozen=True)
class Override:
    key: str
    value: Any  # plain data; None for a deletion
    delete: bool
    words: tuple[str, ...]  # what Hydra gets


def _escape_interpolation(text: str) -> str:
    r"""`${` is OmegaConf's; a backslash takes it as text, and backslashes before it count twice."""
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", text)


def _quote(text: str) -> str:
    doubled = re.sub(r"(\\*)'", r"\1\1\\'", text)
    return "'" + re.sub(r"(\\+)$", r"\1\1", doubled) + "'"


def escaped(value: Any) -> Any:
    """Plain data such that OmegaConf resolves it to itself, `${` and all."""
    if isinstance(value, dict):
        return {name: escaped(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [escaped(item) for item in value]
    return _escape_interpolation(value) if isinstance(value, str) else value


def _grammar(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return "[" + ",".join(_grammar(item) for item in value) + "]"
    if isinstance(value, dict):
        for name in value:
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise UserError(f"{name!r} cannot be a name; use letters, digits, '_', '-', '.'.")
        return "{" + ",".join(f"{name}:{_grammar(item)}" for name, item in value.items()) + "}"
    return _quote(value) if isinstance(value, str) else repr(value)


def quoted(value: Any) -> str:
    """A plain value in Hydra's grammar, such that what goes in comes out."""
    return _grammar(escaped(value))


def write(key: str, value: Any) -> str:
    """The override that sets a key, existing or not, to a value."""
    return f"++{key}={quoted(value)}"


def read(text: str) -> Override:
    """What the user typed. Raises UserError when Hydra could not read it as one key and value."""
    try:
        parsed = OverridesParser.create().parse_override(text)
        value = None if parsed.is_sweep_override() else parsed.value()
    except HydraException:
        raise UserError(
            f"{text}: cannot be read. Put the value in quotes: 'KEY=\"VALUE\"'."
        ) from None
    key = parsed.key_or_group
    if key in GROUPS:
        raise UserError(f"{text}: {GROUPS[key]}")
    if parsed.is_sweep_override():
        raise UserError(f"{text}: one run takes one value; a list is written {key}=[a,b].")
    if parsed.package is not None:
        raise UserError(f"{text}: parts of verl's configuration cannot be swapped by @; set keys.")
    if parsed.is_delete():
        return Override(key, None, True, (text,))
    if isinstance(value, dict) and value:  # Hydra takes critic={...} for the config group "critic"
        leaves = flatten({key: value})
        return Override(key, value, False, tuple(f"++{k}={_grammar(v)}" for k, v in leaves.items()))
    return Override(key, value, False, (f"++{key}={text.partition('=')[2]}",))
