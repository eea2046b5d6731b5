"""Stands in verl's place for a load balancer that nobody asks.

verl always starts one, in a process that imports all of verl (0.5 GiB). Our rollout workers choose
servers themselves (rollout.DirectClient), so the actor that verl gets here does nothing and imports
nothing. Named by `router.yaml`, through `rollout.router_config_path`.
"""

from pathlib import Path
from typing import Any

CONFIG = Path(__file__).with_name("router.yaml")


class NoRouter:
    def __init__(self, servers: dict[str, Any], config: dict[str, Any]) -> None:
        return None
