"""How the run's reward travels inside verl's configuration, and is found there again.

    reward.reward_kwargs.verlaunch: '{"spec": ..., "keys": ..., "state": ...}'

JSON text, because OmegaConf would take a prompt's ${name} for a reference to another key. Whoever
scores reads it from the configuration that verl hands to every reward manager.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rewards.spec import RewardSpec, from_dict

STATE = "reward.json"  # in a checkpoint: constants and means that a resumed run goes on with


@dataclass(frozen=True)
class Settings:
    """keys: of each part, as the launcher saw them. state: of the checkpoint that is resumed."""

    spec: RewardSpec
    keys: Mapping[str, Sequence[str]]
    state: Mapping[str, Any]


def put(config: dict[str, Any], spec: dict[str, Any], keys: Mapping[str, Sequence[str]]) -> None:
    """Into verl's configuration as plain data; the state is that of the checkpoint named there."""
    checkpoint = config["trainer"]["resume_from_path"]
    file = Path(checkpoint or "", STATE)
    state = json.loads(file.read_text()) if checkpoint and file.is_file() else {}
    written = json.dumps({"spec": spec, "keys": keys, "state": state})
    # In JSON a $ stands in texts only, where it may be escaped.
    written = written.replace("$", "\\u0024")
    config["reward"].setdefault("reward_kwargs", {})["verlaunch"] = written


def read(config: Mapping[str, Any]) -> Settings:
    found = json.loads(config["reward"]["reward_kwargs"]["verlaunch"])
    return Settings(from_dict(found["spec"]), found["keys"], found["state"])
