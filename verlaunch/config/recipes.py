"""A recipe by name (configs/recipe/NAME.yaml) or a user's own YAML file, found and read.

    find_recipe("train_sh").settings      ->  {}
    find_recipe("my/short.yaml").settings ->  {"data.max_response_length": 128}

A user's file is written like ours: verl's keys from the root, `defaults:` for another recipe to
start from. A recipe's reward gives way to one that the user names. Left out on purpose: checking
the keys, which keys.py does for recipes and overrides alike.
"""

import contextlib
import functools
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from verlaunch.config.flags import LOADER
from verlaunch.config.keys import flatten
from verlaunch.config.values import closest
from verlaunch.errors import UserError
from verlaunch.paths import CONFIGS

HEADER = "# @package _global_\n"
DEMO_RECIPE = "cpu_demo"  # the CPU variant of the default recipe
OWN = "_own_"  # the name of a user's file on Hydra's search path
# What scores alone when it is the only one of them; each is a flag and a key of the same name.
REWARDS = ("reward_fn", "reward_rules", "reward_model", "rm_url", "use_api_reward")
MIXES = ("reward_mix", "reward_config")
DEFAULTS = {"use_api_reward": False}  # of the others: null


@dataclass(frozen=True)
class Recipe:
    name: str  # as it was asked for
    path: Path
    settings: dict[str, Any]  # dotted keys, those of included recipes too


def known_recipes() -> list[str]:
    """The names under configs/recipe."""
    return sorted(path.stem for path in (CONFIGS / "recipe").glob("*.yaml"))


def cpu_variants() -> dict[str, str]:
    """Recipe -> what runs in its place where there is neither GPU nor model nor data."""
    known = known_recipes()
    named = {name: f"cpu_{name}" for name in known if f"cpu_{name}" in known}
    return {default_recipe(): DEMO_RECIPE, **named}


@functools.cache
def default_recipe() -> str:
    entries = yaml.load((CONFIGS / "ppo.yaml").read_text(encoding="utf-8"), LOADER)["defaults"]
    return next(
        entry["recipe"] for entry in entries if isinstance(entry, dict) and "recipe" in entry
    )


def _locate(name: str) -> Path:
    if name in known_recipes():
        return CONFIGS / "recipe" / f"{name}.yaml"
    path = Path(name).expanduser()
    if path.is_file():
        return path
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        raise UserError(
            f"--recipe {name}: no such file in {Path.cwd()}. Give a YAML file's path, or one of "
            f"{', '.join(known_recipes())}."
        )
    near = closest(name, known_recipes())
    raise UserError(f"--recipe {name}: the recipes are {', '.join(known_recipes())}.{near}")


def _load(path: Path) -> dict[str, Any]:
    try:
        tree = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(tree, dict):
        raise UserError(f"{path}: a recipe is a mapping such as 'data: {{train_batch_size: 64}}'.")
    return {str(key): value for key, value in tree.items()}


def _settings(path: Path) -> dict[str, Any]:
    tree = _load(path)
    included = [name for name in tree.pop("defaults", None) or [] if name in known_recipes()]
    merged: dict[str, Any] = {}
    for name in included:
        merged |= _settings(CONFIGS / "recipe" / f"{name}.yaml")
    return merged | flatten(tree)


def find_recipe(name: str | None) -> Recipe:
    """Reads a recipe; None is the default of ppo.yaml. Raises UserError with the known names."""
    name = name or default_recipe()
    path = _locate(name)
    return Recipe(name, path, _settings(path))


def displaced(recipe: Recipe, typed: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe's own rewards that one named by the user replaces: key -> what it becomes.

    typed: dotted keys of flags and overrides. A mix, the user's or the recipe's, takes what it
    names, and --rm_url serves the recipe's reward model.
    """
    ours = {name for name in REWARDS if recipe.settings.get(f"verlaunch.{name}")}
    named = {name for name in REWARDS if typed.get(f"verlaunch.{name}")}
    if not named or any(f"verlaunch.{name}" in {**typed, **recipe.settings} for name in MIXES):
        return {}
    ours -= {"reward_model"} if "rm_url" in named else set()
    return {f"verlaunch.{name}": DEFAULTS.get(name) for name in sorted(ours - named)}


@contextlib.contextmanager
def recipe_folder(recipe: Recipe) -> Iterator[tuple[Path, str]]:
    """A folder for Hydra's search path that holds the recipe, and the name to ask for."""
    if recipe.name in known_recipes():
        yield CONFIGS, recipe.name
        return
    text = recipe.path.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines(True) if not line.startswith("# @package")]
    with tempfile.TemporaryDirectory(prefix="verlaunch-recipe-") as folder:
        (Path(folder) / "recipe").mkdir()
        (Path(folder) / "recipe" / f"{OWN}.yaml").write_text(HEADER + "".join(lines), "utf-8")
        yield Path(folder), OWN
