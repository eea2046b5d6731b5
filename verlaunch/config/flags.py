"""Flags and variables -> a `Request`: typed values by flag name, and verl's key=value overrides.

    parse(["--batch-size=64", "critic.strategy=fsdp"], {"KL_COEF": "0"})
    ->  Request("run", {"kl_coef": 0.0, "batch_size": 64},
                {"kl_coef": "KL_COEF", "batch_size": "--batch_size"}, ("critic.strategy=fsdp",))

Every flag stands in configs/flags.yaml. This module imports neither hydra nor torch, so that
--help answers at once. Left out on purpose: prefixes of flags (`--temp`), which would change
their meaning when a flag is added, and one-letter flags, but for -h.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from verlaunch.config.values import WORDS, Flag, closest, read
from verlaunch.errors import UserError, raise_all
from verlaunch.paths import CONFIGS

LONG_DASHES = ("\u2013", "\u2014")  # what text programs make of - and --
DASHES = "-" + "".join(LONG_DASHES)
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C one reads the table 8x faster

Given = tuple[Flag, str, str]  # flag, as it was typed ("--lr" or "LEARNING_RATE"), text


@dataclass(frozen=True)
class Request:
    """What the user asked for; nothing that was left out is in it.

    form: of the action's answer, such as "json".
    """

    action: str
    values: dict[str, Any]
    sources: dict[str, str]
    overrides: tuple[str, ...]
    form: str = ""


@dataclass(frozen=True)
class Typed:
    """Flags with their texts, and verl's overrides. problems: of words that are neither."""

    given: tuple[Given, ...]
    overrides: tuple[str, ...]
    problems: tuple[str, ...]

    def asks(self, action: str) -> bool:
        """Whether a flag such as --help is among them."""
        return any(flag.action == action and WORDS.get(text, True) for flag, _, text in self.given)


@functools.cache
def load_table() -> tuple[Flag, ...]:
    """The rows of configs/flags.yaml, in order."""
    groups = yaml.load((CONFIGS / "flags.yaml").read_text(encoding="utf-8"), LOADER)
    return tuple(_flag(group["group"], row) for group in groups for row in group["flags"])


def _flag(group: str, row: dict[str, Any]) -> Flag:
    choices = row.get("choices")
    row = row | {"keys": tuple(row["keys"]), "group": group}
    return Flag(**row | {"choices": tuple(choices) if isinstance(choices, list) else choices})


def _unknown(word: str, table: Sequence[Flag]) -> str:
    name = word.partition("=")[0]
    if "." in name:
        return f"{word}: verl's own keys are written without dashes: {word.lstrip('-')}."
    return f"{name} is not a flag.{_meant(name, table) or ' ./train.sh --help lists them.'}"


def _meant(word: str, table: Sequence[Flag]) -> str:
    """Variables count as well: --learning_rate and --model_path are meant by many."""
    name = word.lstrip(DASHES).partition(":")[0].replace("-", "_").lower()
    variables = {flag.env.lower(): flag.name for flag in table if flag.env}
    if name in variables:
        return f" Did you mean --{variables[name]}?"
    return closest(name, [flag.name for flag in table], "--")


def _stray(word: str, last: Flag | None, table: Sequence[Flag]) -> str:
    if last and last.type == "list" and "=" not in word:
        several = f"--{last.name} takes several with commas and no blanks"
        return f"{word}: {several}: --{last.name} A,{word}."
    near = "" if "." in word else _meant(word, table)  # a file is no flag
    return (
        f"{word}: what does it belong to?{near} A flag starts with --, a verl key is written "
        "key=value, and a text with spaces needs quotes."
    )


def _takes_next(flag: Flag | None, rest: list[str]) -> bool:
    if not rest or rest[0].startswith(("--", *LONG_DASHES)):
        return False
    if flag is None:  # an unknown flag's value is no second mistake
        return "=" not in rest[0]
    if flag.bare:  # most of what stands behind --dry_run is no form of it
        return "=" not in rest[0] and not rest[0].startswith(("-", "~")) and "." not in rest[0]
    return flag.type != "bool" or rest[0].lower() in WORDS


def _take_flag(
    word: str, rest: list[str], flags: dict[str, Flag], given: list[Given]
) -> str | None:
    """Adds the flag, and its value off `rest`, to `given`; or says what is wrong."""
    name, equals, text = word.partition("=")
    flag = flags.get(name[2:].replace("-", "_")) if name.startswith("--") else None
    if not equals and _takes_next(flag, rest):
        text = rest.pop(0)
    elif not equals and flag and (flag.type == "bool" or flag.bare):
        text = "true"
    elif not equals and flag:
        return f"--{flag.name} needs a value: --{flag.name} {flag.metavar or 'VALUE'}."
    if flag is None:
        return _unknown(word, list(flags.values()))
    given.append((flag, f"--{flag.name}", text))
    return None


def _take_override(
    word: str, rest: list[str], last: Flag | None, flags: dict[str, Flag], overrides: list[str]
) -> str | None:
    name, equals, text = word.partition("=")
    flag = flags.get(name.replace("-", "_"))
    if not equals and not word.startswith("~"):
        if "." in word and rest and not rest[0].startswith("-"):
            value = [rest.pop(0) for _ in range(2) if rest and not rest[0].startswith("-")][-1]
            return f"{word} {value}: a verl key and its value are one word: {word}={value}."
        return _stray(word, last, list(flags.values()))
    if flag:
        return f"{word}: {flag.name} is a flag: --{flag.name} {text}."
    overrides.append(word)
    return None


def split(argv: Sequence[str], table: Sequence[Flag]) -> Typed:
    """Never raises: what --help or --version stands among need not be right."""
    flags = {flag.name: flag for flag in table}
    given: list[Given] = []
    overrides: list[str] = []
    problems: list[str | None] = []
    rest = ["--help" if word == "-h" else word for word in argv]
    while rest:
        word = rest.pop(0)
        if word.startswith(("-", *LONG_DASHES)):
            problems.append(_take_flag(word, rest, flags, given))
        else:
            last = given[-1][0] if given else None
            problems.append(_take_override(word, rest, last, flags, overrides))
    return Typed(tuple(given), tuple(overrides), tuple(filter(None, problems)))


def _from_env(env: Mapping[str, str], table: Sequence[Flag], given: Sequence[Given]) -> list[Given]:
    typed = {flag.name for flag, _, _ in given}
    named = [(flag, flag.env) for flag in table if flag.env and flag.name not in typed]
    return [(flag, name, env[name]) for flag, name in named if env.get(name, "").strip()]


def _values(given: Sequence[Given], problems: list[str]) -> tuple[dict[str, Any], dict[str, str]]:
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for flag, source, text in given:
        try:
            value = read(flag, source, text)
        except UserError as error:
            problems.extend(error.problems)
            continue
        repeated = flag.type == "list" and sources.get(flag.name) == source
        values[flag.name] = values[flag.name] + value if repeated else value
        sources[flag.name] = source
    return values, sources


def _without_idle(
    given: list[Given], overrides: Sequence[str], table: Sequence[Flag]
) -> list[Given]:
    """Clusters set MASTER_ADDR and the like for every job; one machine has no use for them.

    They may hold anything: beside a service "master" of Kubernetes MASTER_PORT is tcp://10.0.0.7:80.
    """
    texts = {flag.name: text.strip() for flag, _, text in given}
    typed = {word.partition("=")[0] for word in overrides}
    above_1 = {flag.name for flag in table if texts.get(flag.name, "1") != "1"}
    above_1 |= {flag.name for flag in table if typed & set(flag.keys)}
    return [
        (flag, source, text)
        for flag, source, text in given
        if not flag.needs or source != flag.env or flag.needs in above_1
    ]


def parse(
    argv: Sequence[str], env: Mapping[str, str], table: Sequence[Flag] | None = None
) -> Request:
    """Reads flags over variables. Raises UserError with every problem, unless --help is asked."""
    table = load_table() if table is None else table
    typed = split(argv, table)
    return Request("help", {}, {}, ()) if typed.asks("help") else request(typed, env, table)


def request(typed: Typed, env: Mapping[str, str], table: Sequence[Flag]) -> Request:
    """The typed words over the variables. Raises UserError with every problem."""
    problems = list(typed.problems)
    given = [*_from_env(env, table, typed.given), *typed.given]
    values, sources = _values(_without_idle(given, typed.overrides, table), problems)
    raise_all(problems)
    actions = [flag.action or "" for flag in table if flag.action and values.get(flag.name)]
    forms = [str(values[flag.name]) for flag in table if flag.bare and values.get(flag.name)]
    values = {
        flag.name: values[flag.name] for flag in table if flag.name in values and not flag.action
    }
    sources = {name: source for name, source in sources.items() if name in values}
    action, form = (*actions, "run")[0], (*forms, "")[0]
    return Request(action, values, sources, typed.overrides, form)
