"""Asks the run's judges and reward servers once, by the same code that a start asks them with.

work({"parts": [to_dict(RewardSpec(...)), ...]}, print)
# {"parts": [{"name": "judge_score", "seconds": 1.4, "notes": []}]}
"""

import time
from collections.abc import Callable
from typing import Any


def _ask(part: dict[str, Any]) -> dict[str, Any]:
    from rewards.spec import from_dict
    from verlaunch.errors import stopping
    from verlaunch.plan.reward.trial.trial import try_reward

    spec, began = from_dict(part), time.monotonic()
    name, found = spec.parts[0].name, try_reward(spec, [])
    if problems := stopping(found.findings):
        return {"name": name, "error": "\n".join(problems)}
    return {"name": name, "seconds": time.monotonic() - began, "notes": found.notes}


def work(given: dict[str, Any], doing: Callable[[str], None]) -> dict[str, Any]:
    doing("asking the judge")
    return {"parts": [_ask(part) for part in given["parts"]]}
