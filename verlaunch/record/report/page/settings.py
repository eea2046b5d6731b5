"""What a run sets otherwise than verl itself, and the launcher's own settings that were named.

    differences({"algorithm": {"lam": 0.95}, ...})
    # [{"key": "algorithm.lam", "default": "1.0", "here": "0.95"}, ...]

The launcher's come first: they are what a person typed.
"""

from collections.abc import Mapping
from typing import Any

from verlaunch.config.compose import defaults, differing
from verlaunch.config.keys import yaml_word
from verlaunch.machine.scrub import hide_value
from verlaunch.record.report.page.embed import cut

LONGEST = 400  # characters of a value
OURS = "verlaunch."


def differences(config: Mapping[str, Any]) -> list[dict[str, str]]:
    """`config`: a run's config.yaml; nothing where there is none."""
    if not config:
        return []
    found = differing(defaults(), dict(config))
    ordered = sorted(found, key=lambda key: not key.startswith(OURS))
    return [
        {"key": key, "default": _word(key, found[key][0]), "here": _word(key, found[key][1])}
        for key in ordered
    ]


def _word(key: str, value: Any) -> str:
    return cut(hide_value(key, yaml_word(value)), LONGEST)
