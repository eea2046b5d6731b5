"""Trackers (--logger) that could not write: a package, an account, a file that would be emptied.

    [finding.text for finding in refused(["rl_insight"], os.environ)]
    ->  ["--logger rl_insight: the package rl-insight is not installed. Install it: ..."]

A key is only looked for, never read out.
"""

import importlib.util
from collections.abc import Iterator, Mapping, Sequence

from verlaunch.errors import Finding
from verlaunch.plan.guards.scene import Scene
from verlaunch.record.trackers import BIN, PACKAGES, chosen

VEMLP = ("VOLC_ACCESS_KEY_ID", "VOLC_SECRET_ACCESS_KEY", "MLP_TRACKING_REGION")


def check(scene: Scene) -> Iterator[Finding]:
    if scene.config.launch["node_rank"] == 0:  # where the trainer is
        yield from refused(chosen(scene.config.verl["trainer"]["logger"]), scene.env)


def refused(names: Sequence[str], env: Mapping[str, str]) -> Iterator[Finding]:
    if "file" in names:  # tracking.py:541
        yield Finding(
            "--logger file: verl empties its file at every start, a resumed run's too. Leave it "
            "out: metrics.jsonl in the run's folder has the same numbers and keeps them."
        )
    for name in names:
        module, package = PACKAGES.get(name, ("", ""))
        if module and importlib.util.find_spec(module) is None:
            yield Finding(
                f"--logger {name}: the package {package} is not installed. "
                f"Install it: {BIN}/pip install {package}"
            )
    unset = [key for key in VEMLP if key not in env]
    if "vemlp_wandb" in names and unset:
        yield Finding(f"--logger vemlp_wandb needs an account: set {', '.join(unset)}.")
