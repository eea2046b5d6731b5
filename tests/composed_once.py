"""Hydra, reading the files that every start begins with once per process rather than once per test.

    composed_once.begin()    in conftest.py: from then on only a command's words are applied anew

Reading the same files into the same nodes is a third of what a start costs. Hydra reads all of it
itself for a recipe of one's own, and in every child process.
"""

import pickle
import re
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from verlaunch.config.overrides import quoted
from verlaunch.paths import CONFIGS

CHOOSE = ("hydra.searchpath=", "hardware=", "recipe=")
FOLDER = f"{CHOOSE[0]}{quoted([f'file://{CONFIGS}'])}"
SETS_A_KEY = re.compile(r"(\+\+|~)\w+\.")

whole = ConfigLoaderImpl._load_configuration_impl
_read: dict[tuple[str, ...], bytes] = {}


def quick(self: Any, config_name: str | None, overrides: list[str], **how: Any) -> DictConfig:
    """What `whole` returns, but for its `hydra` node, which hydra.compose() takes away."""
    chosen = tuple(word for word in overrides if word.startswith(CHOOSE))
    words = overrides[len(chosen) :]
    if config_name != "ppo" or FOLDER not in chosen or not all(map(SETS_A_KEY.match, words)):
        return whole(self, config_name, overrides, **how)
    if chosen not in _read:
        _read[chosen] = pickle.dumps(whole(self, config_name, list(chosen), **how))
    tree = pickle.loads(_read[chosen])
    parsed = OverridesParser.create().parse_overrides(overrides=words)
    ConfigLoaderImpl._apply_overrides_to_config(parsed, tree)
    return tree


def begin() -> None:
    ConfigLoaderImpl._load_configuration_impl = quick
