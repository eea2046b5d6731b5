"""Whose run a folder holds: its model, data and reward, in run.json.

check_identity(Path("outputs"), {"model": "...", "data": "..."})   # UserError if another's
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from verlaunch.errors import UserError

IDENTITY = "run.json"


def check_identity(folder: Path, identity: Mapping[str, Any]) -> None:
    """Raises UserError when the folder holds a run of another model, data or reward."""
    try:
        before = json.loads((folder / IDENTITY).read_text())
    except (OSError, ValueError):
        return
    changed = [name for name in identity if name in before and before[name] != identity[name]]
    if changed:
        what = "; ".join(f"{name}: {before[name]}, now {identity[name]}" for name in changed)
        raise UserError(
            f"{folder} holds a run with another {' and '.join(changed)} ({what}). "
            "Give this run its own folder with --run_name NAME, or start over with "
            "--resume never (the old files are moved aside)."
        )
