"""Asks the run's judges and reward servers once, by the same code that a start asks them with.

work({"parts": [to_dict(RewardSpec(...)), ...]}, print)
# {"parts": [{"name": "judge_score", "seconds": 1.4, "notes": []}]}
"""

import time
from collections.abc import Callable
from typing import Any


def _ask(part: dict[str, Any]) -> dict[str, Any]:
    from rewards.spec import from_dict
    from verlaunch.errors import UserError
    from verlaunch.plan.reward.try_out import try_rewards

    spec, began = from_dict(part), time.monotonic()
    name = spec.parts[0].name
    try:
        notes = list(try_rewards([], spec).notes)
    except UserError as error:
        return {"name": name, "error": str(error)}
    return {"name": name, "seconds": time.monotonic() - began, "notes": notes}


def work(given: dict[str, Any], doing: Callable[[str], None]) -> dict[str, Any]:
    doing("asking the judge")
    return {"parts": [_ask(part) for part in given["parts"]]}
