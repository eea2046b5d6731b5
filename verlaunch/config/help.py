"""The flag table for people: --help, the tables of docs/flags.md, and bash completion.

    print(help_text(load_table()))     80 columns, grouped, with defaults
    print(bash_completion(load_table(), ["score"]))   -> ./train.sh completion

Defaults are read from the same YAML that a run starts from. Left out on purpose: hydra and verl,
so that --help answers at once; what a recipe sets is in the recipe's own header.
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import yaml

from verlaunch.config.flags import LOADER
from verlaunch.config.tree import get
from verlaunch.config.values import Flag
from verlaunch.paths import CONFIGS

WIDTH, COLUMN = 80, 31
USAGE = """\
Usage: ./train.sh [COMMAND] [--flag value ...] [verl.key=value ...]

Trains a language model with PPO. Without flags it trains what fits this
machine: Qwen2.5-0.5B on a GPU, a tiny demo model on the CPU.

  ./train.sh --data my.json --model Qwen/Qwen2.5-0.5B --lr 2e-6
  ./train.sh --dry_run actor_rollout_ref.rollout.top_p=0.9

--batch_size 64, --batch-size 64 and --batch-size=64 are the same. Names in
capitals are environment variables, read when the flag is not given. Stronger
first: verl's own key=value, flags, variables, recipe, hardware, defaults.
"""


def _yaml(name: str) -> dict[str, Any]:
    return yaml.load((CONFIGS / name).read_text(encoding="utf-8"), LOADER)


def default_of(flag: Flag, root: dict[str, Any], profile: dict[str, Any]) -> Any:
    """The value that a run on this hardware starts from; None when it is worked out."""
    if not flag.keys:
        entries = [entry for entry in root["defaults"] if isinstance(entry, dict)]
        chosen = (entry[flag.name] for entry in entries if flag.name in entry)
        return None if flag.unset else next(chosen, None)
    values = (get(profile, flag.keys[0]), get(root, flag.keys[0]))
    return next((value for value in values if value is not None), None)


def _word(flag: Flag, value: Any) -> str:
    if value is None or value == [] or str(value).startswith("${"):  # follows another key
        return flag.unset or ""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


def default_words(table: Sequence[Flag]) -> dict[str, str]:
    """Flag name -> its default in words, both profiles where they differ; empty for actions."""
    root = _yaml("ppo.yaml")
    profiles = [_yaml(f"hardware/{name}.yaml") for name in ("gpu", "cpu")]
    words: dict[str, str] = {}
    for flag in table:
        gpu, cpu = (_word(flag, default_of(flag, root, profile)) for profile in profiles)
        words[flag.name] = gpu if gpu == cpu else f"{gpu}; on the CPU {cpu}"
    return words


def _typed(flag: Flag) -> str:
    if flag.type == "bool":
        return f"--{flag.name}"
    choices = "|".join(flag.choices) if flag.choices and flag.type == "choice" else ""
    if flag.bare:
        return f"--{flag.name} [{choices}]"
    return f"--{flag.name} {choices or flag.metavar or 'VALUE'}"


def _sentences(flag: Flag, default: str) -> str:
    parts = [f"default: {default}" if default else "", flag.env or ""]
    tail = "; ".join(part for part in parts if part)
    return flag.help + (f" [{tail}]" if tail else "")


def _rows(flag: Flag, default: str) -> Iterator[str]:
    typed = f"  {_typed(flag)}"
    lines = textwrap.wrap(_sentences(flag, default), WIDTH - COLUMN, break_on_hyphens=False)
    if len(typed) > COLUMN - 2:
        yield typed
        typed = ""
    yield f"{typed:<{COLUMN}}{lines[0]}"
    yield from (" " * COLUMN + line for line in lines[1:])


def _groups(table: Sequence[Flag]) -> Iterator[tuple[str, list[Flag]]]:
    for name, flags in groupby(table, key=lambda flag: flag.group):
        yield name, list(flags)


def help_text(table: Sequence[Flag], commands: Mapping[str, str]) -> str:
    """The page of --help, at most 80 columns wide. commands: name -> what it does."""
    words = default_words(table)
    lines = [USAGE.rstrip(), "", "Commands, each with a --help of its own"]
    lines += [f"  ./train.sh {name:<{COLUMN - 13}}{about}" for name, about in commands.items()]
    for name, flags in _groups(table):
        lines += ["", name]
        lines += [line for flag in flags for line in _rows(flag, words[flag.name])]
    lines += ["", "Every other verl key passes through; --print_config shows them all."]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def markdown_table(table: Sequence[Flag]) -> str:
    """The tables of docs/flags.md, one per group."""
    words = default_words(table)
    lines: list[str] = []
    for name, flags in _groups(table):
        lines += [f"**{name}**", "", "| flag | variable | default | what it does |"]
        lines += ["|---|---|---|---|"]
        for flag in flags:
            env = f"`{flag.env}`" if flag.env else ""
            cells = [f"`{_cell(_typed(flag))}`", env, _cell(words[flag.name]), _cell(flag.help)]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def bash_completion(table: Sequence[Flag], commands: Sequence[str]) -> str:
    """A script for bash: completes commands, flags, choices, and files where a flag takes one."""
    choices = {flag.name: " ".join(flag.choices) for flag in table if flag.choices}
    cases = [
        f'    --{name}) COMPREPLY=($(compgen -W "{words}" -- "$word")); return ;;'
        for name, words in choices.items()
    ]
    names = " ".join(f"--{flag.name}" for flag in table)
    lines = ["_verlaunch() {", '  local word="${COMP_WORDS[COMP_CWORD]}"']
    lines += ['  local before="${COMP_WORDS[COMP_CWORD-1]#--}"']
    lines += ['  case "--${before//-/_}" in', *cases, "  esac"]
    lines += ["  if [[ $COMP_CWORD == 1 && $word != -* ]]; then"]
    lines += [f'    COMPREPLY=($(compgen -W "{" ".join(commands)}" -- "$word")); return', "  fi"]
    lines += [f'  COMPREPLY=($(compgen -W "{names}" -- "$word"))', "}"]
    lines += ["complete -o default -F _verlaunch verlaunch train.sh ./train.sh"]
    return "\n".join(lines) + "\n"
