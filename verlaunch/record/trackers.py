"""Trackers beside our own record (--logger), set up so that none needs an account or a terminal.

    notes(["wandb"], folder, os.environ)      # where it writes, and what shows it
    environment(["wandb"], folder, run_id(folder), os.environ)
    # {"WANDB_MODE": "offline", "WANDB_DIR": "outputs/trackers", ...}

They are verl's (verl/utils/tracking.py) and take their settings from the environment. What the user
has set there stays; a key is only looked for, never read out. All files lie in FOLDER/trackers, and
a resumed run goes on as the same run of the tracker (engine/tracking.py has the part that needs the
tracker's own package). Left out on purpose: accounts of clearml, vemlp_wandb and rl_insight; and
what a tracker lacks (plan/guards/loggers.py).
"""

import json
import netrc
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

FOLDER = "trackers"
BIN = ".venv/bin"  # train.sh's; not on a user's PATH
# Name of the tracker: the module that must be there, what pip calls it.
PACKAGES = {
    "wandb": ("wandb", "wandb"),
    "tensorboard": ("tensorboard", "tensorboard"),
    "mlflow": ("mlflow", "mlflow"),
    "swanlab": ("swanlab", "swanlab"),
    "trackio": ("trackio", "trackio"),
    "clearml": ("clearml", "clearml"),
    "vemlp_wandb": ("volcengine_ml_platform", "volcengine-ml-platform"),
    "rl_insight": ("rl_insight", "rl-insight"),
}
ID_LENGTH = 21  # what every version of swanlab takes, and the others too


def chosen(logger: str | Sequence[str] | None) -> list[str]:
    """verl takes one name as well as a list (trainer.logger=wandb)."""
    return [logger] if isinstance(logger, str) else list(logger or ())


def run_id(folder: Path) -> str:
    """The run's name with every tracker: made once, kept in its folder."""
    file = folder / FOLDER / "run.json"
    try:
        return str(json.loads(file.read_text())["id"])
    except (OSError, ValueError, KeyError, TypeError):
        file.parent.mkdir(parents=True, exist_ok=True)
        made = secrets.token_hex(ID_LENGTH)[:ID_LENGTH]
        file.write_text(json.dumps({"id": made}) + "\n")
        return made


def environment(
    names: Sequence[str], folder: Path, run: str, inherited: Mapping[str, str]
) -> dict[str, str]:
    """Variables to add to what the trainer inherits."""
    home = folder / FOLDER
    ours: dict[str, str] = {}
    if "tensorboard" in names:
        ours["TENSORBOARD_DIR"] = str(home / "tensorboard")
    if "wandb" in names:
        ours |= {"WANDB_DIR": str(home), "WANDB_DATA_DIR": str(home),
                 "WANDB_RUN_ID": run, "WANDB_RESUME": "allow"}  # fmt: skip
        if not _has_wandb_key(inherited):
            ours["WANDB_MODE"] = "offline"
    if "swanlab" in names:
        ours |= {"SWANLAB_LOG_DIR": str(home / "swanlab"),
                 "SWANLAB_RUN_ID": run, "SWANLAB_RESUME": "allow"}  # fmt: skip
        if not _has_swanlab_key(inherited):
            ours["SWANLAB_MODE"] = "offline"
    if "mlflow" in names:
        ours["MLFLOW_TRACKING_URI"] = f"sqlite:///{home / 'mlflow.db'}"
    if "trackio" in names:
        ours["TRACKIO_DIR"] = str(home / "trackio")
    if "rl_insight" in names:
        ours["VERL_RL_INSIGHT_ENABLE"] = "1"  # else verl's adapter drops everything
    return {key: value for key, value in ours.items() if key not in inherited}


def notes(names: Sequence[str], folder: Path, inherited: Mapping[str, str]) -> list[str]:
    """Where each tracker writes, and what shows it; those that need no word are left out."""
    home = folder / FOLDER
    added = environment(names, folder, "", inherited)
    found = []
    if "TENSORBOARD_DIR" in added:
        found.append(f"tensorboard: see it with {BIN}/tensorboard --logdir {home / 'tensorboard'}")
    if "WANDB_MODE" in added:
        each = f"for run in {home}/wandb/offline-run-*; do {BIN}/wandb sync $run; done"
        found.append(f"wandb: no key, so it stays on this disk; WANDB_API_KEY sends it as it goes. "
                     f"Later, a start after the other: {each}")  # fmt: skip
        there = sorted((home / "wandb").glob("offline-run-*"))
        found += [f"wandb: of an earlier start: {BIN}/wandb sync {one}" for one in there]
    if "SWANLAB_MODE" in added:
        found.append(f"swanlab: no key, so it stays on this disk; SWANLAB_API_KEY sends it as it "
                     f"goes, {BIN}/swanlab sync {home}/swanlab/run-* later")  # fmt: skip
    if "MLFLOW_TRACKING_URI" in added:
        uri = added["MLFLOW_TRACKING_URI"]
        found.append(f"mlflow: see it with {BIN}/mlflow ui --backend-store-uri {uri}")
    if "TRACKIO_DIR" in added and "TRACKIO_SPACE_ID" not in inherited:
        found.append(f"trackio: see it with TRACKIO_DIR={home / 'trackio'} {BIN}/trackio show")
    return found


def _has_wandb_key(inherited: Mapping[str, str]) -> bool:
    if inherited.get("WANDB_API_KEY") or inherited.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    host = urlsplit(inherited.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    home = Path(inherited.get("HOME", ""))
    files = (
        [Path(inherited["NETRC"])] if "NETRC" in inherited else [home / ".netrc", home / "_netrc"]
    )
    return any(_knows(file, host) for file in files)


def _knows(file: Path, host: str) -> bool:
    try:
        return host in netrc.netrc(str(file)).hosts
    except (OSError, netrc.NetrcParseError):
        return False


def _has_swanlab_key(inherited: Mapping[str, str]) -> bool:
    if inherited.get("SWANLAB_API_KEY"):
        return True
    homes = [Path(), Path(inherited.get("HOME", ""))]
    return any((home / ".swanlab" / ".netrc").is_file() for home in homes)
