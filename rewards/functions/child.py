"""What runs inside the child process of killable.py: import once, call, answer plainly.

run("/home/me/my_reward.py:score", pickle.dumps(("math_reasoning", "so 42", "42", None)))
# ("ok", {"score": 1.0}), or ("exception", "my_reward.py:12: ZeroDivisionError: ...")
"""

import os
import pickle
import sys
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from rewards.checks import BadReward
from rewards.functions.user import LoadError, call, describe, load_function


def begin() -> None:
    os.dup2(2, 1)  # what a reward prints belongs in the log, never between our lines on the screen
    # A pipe's lines would wait for a full buffer, and be lost when this process is killed.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:  # a Ray actor is killed without a chance to close its children
        time.sleep(1)
    os._exit(0)


@lru_cache(maxsize=1)
def _function(spec: str) -> Callable:
    return load_function(spec)


def run(spec: str, packed: bytes | None) -> tuple[str, Any]:
    """("ok", scores) or (kind, reason). Plain data: a user's exception may not even pickle."""
    try:
        function = _function(spec)
        return ("ok", {} if packed is None else call(function, *pickle.loads(packed)))
    except LoadError as error:
        return ("load", str(error))
    except BadReward as error:
        return ("bad_value", f"{spec.rpartition('/')[2]}: {error}")
    except BaseException as error:  # sys.exit() in a reward must not end the child unseen
        return ("exception", describe(error, Path(spec.rpartition(":")[0])))
