"""A `Request` -> the whole configuration, as plain data: verl's tree, ours, and who set what.

    config = compose(parse(["--lr", "1e-5"], {}), "cpu")
    config.verl["actor_rollout_ref"]["actor"]["optim"]["lr"]    ->  1e-05
    "actor_rollout_ref.actor.optim.lr" in config.given          ->  True

Highest first: key=value overrides, flags, variables, recipe, hardware profile, defaults. This is
the config room: DictConfig enters and leaves here only. Left out on purpose: numbers that depend on
data and machine; whoever works them out puts them in with `fill`.
"""

import dataclasses
import functools
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import hydra
import omegaconf
import yaml
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from verlaunch.config import keys, overrides
from verlaunch.config.flags import LOADER, Request, load_table
from verlaunch.config.recipes import Recipe, displaced, find_recipe, recipe_folder
from verlaunch.config.tree import OURS, Config, Tree
from verlaunch.config.values import allowed, fits
from verlaunch.errors import UserError, raise_all
from verlaunch.paths import CONFIGS, verl_configs

# verl's ppo_trainer with all its parts in one file; reading the parts takes three times as long.
VERL = "_generated_ppo_trainer.yaml"
FOLDERS = ("verlaunch.output_dir", "verlaunch.run_name")  # ours, and put into verl's tree

# OmegaConf parses each ${...} anew whenever it is read: half of what resolving takes.
for module in (omegaconf.base, omegaconf._utils):
    setattr(module, "parse", functools.cache(module.parse))  # noqa: B010


def _plain(tree: DictConfig, resolve: bool = True) -> Tree:
    container = OmegaConf.to_container(tree, resolve=resolve)
    assert isinstance(container, dict)
    return {str(name): value for name, value in container.items()}


@functools.cache
def _store_verl() -> DictConfig:
    """verl's own tree, under the name by which ppo.yaml starts from it."""
    text = (verl_configs() / VERL).read_text(encoding="utf-8")
    tree = DictConfig(yaml.load(text, LOADER))
    ConfigStore.instance().store("verl", tree)
    return tree


@functools.cache
def _known() -> tuple[Tree, Tree]:
    """verl's own tree, and that tree with our node: the keys that exist."""
    verl = _plain(_store_verl())
    ours = _plain(DictConfig(OmegaConf.load(CONFIGS / "ppo.yaml")), resolve=False)
    return verl, verl | {"verlaunch": ours["verlaunch"]}


def _flag_settings(request: Request) -> Tree:
    settings: Tree = {}
    for flag in load_table():
        if flag.name in request.values:
            value = request.values[flag.name]
            settings |= dict.fromkeys(flag.keys, value)
            settings |= flag.choices[value] if isinstance(flag.choices, dict) else {}
    return settings


def _read_overrides(words: Sequence[str], tree: Tree) -> tuple[list[overrides.Override], list[str]]:
    """Those that can be applied, and the problems of the others."""
    good: list[overrides.Override] = []
    problems: list[str] = []
    for word in words:
        try:
            override = overrides.read(word)
        except UserError as error:
            problems.extend(error.problems)
            continue
        wrong = [_misfit(key, value, tree) for key, value in _settings([override]).items()]
        wrong = [None] if override.delete and keys.is_known(override.key, tree) else wrong
        problems.extend(problem for problem in wrong if problem)
        good.extend([override] if not any(wrong) else [])
    return good, problems


def _misfit(key: str, value: Any, tree: Tree) -> str | None:
    """The sentence for a key that does not exist, or for a word where a section stands."""
    inside = sorted(known for known in keys.flatten(tree) if known.startswith(f"{key}."))
    if inside and not isinstance(value, Mapping):
        return f"{key} is a section, not a value; set a key in it, such as {inside[0]}."
    return keys.unknown(key, tree)


def _settings(words: Sequence[overrides.Override]) -> Tree:
    return {
        key: value for word in words for key, value in keys.flatten({word.key: word.value}).items()
    }


def _compose(hardware: str, recipe: Recipe, words: Sequence[str]) -> DictConfig:
    with recipe_folder(recipe) as (folder, name):
        search = f"hydra.searchpath={overrides.quoted([f'file://{folder}'])}"
        chosen = [search, f"hardware={hardware}", f"recipe={name}"]
        _store_verl()
        try:
            with hydra.initialize_config_dir(str(CONFIGS), version_base=None):
                return hydra.compose("ppo", overrides=[*chosen, *words])
        except (HydraException, OmegaConfBaseException) as error:
            raise UserError(f"The configuration does not compose: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return str(error.__cause__ or error).strip().splitlines()[0]


def _resolve(tree: DictConfig) -> Tree:
    try:
        plain = _plain(tree)
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", "") or "The configuration"
        raise UserError(f"{key} cannot be worked out: {_reason(error)}") from error
    raise_all(_read_again(plain))
    return plain


def _read_again(tree: Tree) -> list[str]:
    """Of texts in which verl would look for another key: OmegaConf.resolve, which it calls, leaves
    a text that was escaped without its backslash, and reading it takes it for a reference."""
    named = {flag.keys[0]: f"--{flag.name}" for flag in load_table() if flag.keys}
    return [
        f"{named.get(key, key)} '{value}': verl takes ${{ for a reference to another setting. If a "
        "variable was meant, use double quotes, in which the shell puts its value."
        for key, value in keys.flatten(tree).items()
        if "${" in str(value) and (not key.startswith(OURS) or key in FOLDERS)
    ]


def _of_another_type(settings: Tree, composed: Tree, defaults: Tree) -> list[str]:
    """A word where verl's default is a number or a switch would only fail inside the run."""
    usual, ours = keys.flatten(defaults), keys.flatten(composed)
    wrong = [
        k
        for k in settings
        if isinstance(usual.get(k), int | float) and isinstance(ours.get(k), str)
    ]
    kinds = {key: "true or false" if isinstance(usual[key], bool) else "a number" for key in wrong}
    return [
        f"{key}={ours[key]}: takes {kinds[key]}, as in {key}={keys.yaml_word(usual[key])}."
        for key in wrong
    ]


def _not_ours(settings: Tree, launch: Tree) -> list[str]:
    """Our own keys, typed or in a recipe, take what their flags take."""
    usual = _known()[1]["verlaunch"]
    found = [f"~{OURS}{name}: it is needed. Leave this out." for name in usual.keys() - launch]
    for flag in load_table():
        key = next((key for key in flag.keys if key.startswith(OURS)), "")
        name = key.removeprefix(OURS)
        if key not in settings or name not in launch:
            continue
        value, said = launch[name], f"{key}={keys.yaml_word(launch[name])}"
        if not fits(flag, value) and not (value is None and usual[name] is None):
            found.append(f"{said}: takes {allowed(flag)}, as --{flag.name} does.")
        elif isinstance(flag.choices, dict):
            found.append(f"{said} sets nothing by itself. Use --{flag.name} {value}.")
    return found


def _idle_note(given: frozenset[str], ours: Tree) -> tuple[str, ...]:
    """About flags of several machines that were typed for one: variables were left out before."""
    if ours["trainer"]["nnodes"] != 1:
        return ()
    usual = keys.flatten(_known()[1])
    values = keys.flatten(ours)
    typed = [flag for flag in load_table() if flag.needs and flag.keys[0] in given]
    idle = [f"--{flag.name}" for flag in typed if values[flag.keys[0]] != usual[flag.keys[0]]]
    if not idle:
        return ()
    return (
        f"{', '.join(idle)} only count{'s' * (len(idle) == 1)} among several machines, and this "
        "run has one. To use more, type --nnodes N on each of them.",
    )


def compose(request: Request, hardware: str) -> Config:
    """Composes and checks. `hardware`: "cpu" or "gpu", what the machine has; --hardware wins.

    Raises UserError with every unknown key, dead key and wrong type at once.
    """
    hardware = request.values.get("hardware", hardware)
    defaults, tree = _known()
    recipe = find_recipe(request.values.get("recipe"))
    typed, problems = _read_overrides(request.overrides, tree)
    problems += [
        f"{recipe.path}: {p}" for p in (keys.unknown(k, tree) for k in recipe.settings) if p
    ]
    flags = _flag_settings(request)
    gone = displaced(recipe, {**flags, **_settings(typed)})
    words = [overrides.write(key, value) for key, value in {**gone, **flags}.items()]
    try:
        composed = _compose(
            hardware, recipe, words + [word for override in typed for word in override.words]
        )
        ours = _resolve(composed)
    except UserError as error:
        raise UserError(*problems, *error.problems) from error
    wrong, notes = _check(typed, recipe, ours, defaults)
    raise_all(problems + wrong)
    notes += tuple(_displaced_note(recipe, key) for key in gone)
    given = frozenset(flags) | frozenset(_settings(typed))
    notes += _idle_note(given, ours)
    launch = ours.pop("verlaunch")
    recipe_keys = frozenset(recipe.settings)
    return Config(ours, launch, defaults, given, recipe_keys, hardware, recipe.name, notes,
                  **_unresolved(composed))  # fmt: skip


def _unresolved(tree: DictConfig) -> dict[str, Any]:
    return {"links": _plain(tree, resolve=False), "nodes": pickle.dumps(tree)}


def _check(
    typed: Sequence[overrides.Override], recipe: Recipe, ours: Tree, defaults: Tree
) -> tuple[list[str], tuple[str, ...]]:
    settings = recipe.settings | _settings([override for override in typed if not override.delete])
    answers = [keys.check_dead(key, value, ours) for key, value in settings.items()]
    problems = [problem for problem, _ in answers if problem]
    problems += _of_another_type(settings, ours, defaults)
    problems += _not_ours(settings, ours["verlaunch"])
    return problems, tuple(note for _, note in answers if note)


def _displaced_note(recipe: Recipe, key: str) -> str:
    was = keys.yaml_word(recipe.settings[key])
    return f"{key}={was} of the recipe {recipe.name} gives way to the reward that you name."


def fill(config: Config, values: Mapping[str, Any]) -> Config:
    """Sets dotted keys, and with them every key that follows one of them in our YAML."""
    tree = pickle.loads(config.nodes)
    for key, value in values.items():
        OmegaConf.update(tree, key, overrides.escaped(value), force_add=True)
    resolved = _resolve(tree)
    launch = resolved.pop("verlaunch")
    return dataclasses.replace(config, verl=resolved, launch=launch, **_unresolved(tree))


def defaults() -> Tree:
    """verl's own tree, and our node: what holds before profile, recipe, flags and machine."""
    return _known()[1]


def differences(config: Config) -> dict[str, tuple[Any, Any]]:
    """Dotted key -> (verl's default, ours), in verl's order, where they are not the same."""
    return differing(config.verl_defaults, config.verl)


def differing(before: Tree, after: Tree) -> dict[str, tuple[Any, Any]]:
    """The same of any two trees, such as `defaults()` and a run's config.yaml."""
    theirs, ours = keys.flatten(before), keys.flatten(after)
    pairs = {key: (theirs.get(key), ours.get(key)) for key in {**theirs, **ours}}
    return {k: pair for k, pair in pairs.items() if pair[0] != pair[1] and pair != ({}, None)}


def to_yaml(config: Config) -> str:
    """What --print_config shows."""
    tree = {"verlaunch": config.launch, **config.verl}
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=100)


def run_folder(config: Config) -> Path:
    folder = Path(config.launch["output_dir"]).expanduser().resolve()
    return folder / config.launch["run_name"] if config.launch["run_name"] else folder
