"""Which curves a picture of a run shows, in which order, and where an alert belongs.

    for panel in shown(series):
        print(panel.title, panel.names)

Left out on purpose: how they are drawn (curves.py).
"""

from dataclasses import dataclass
from typing import Literal

from verlaunch.record.report.named_steps import Series
from verlaunch.record.report.names import PART

MOST_PARTS = 6
# What a part tells beside its score: shares and weights, which are no rewards.
BESIDE = ("_failed", "_weight", "_asked", "_raw", "_unscaled")


@dataclass(frozen=True)
class Panel:
    """`name`: the metric. `band`: two more, its lowest and highest. `alerts`: their names."""

    title: str
    name: str
    unit: str = ""
    band: tuple[str, str] | None = None
    alerts: tuple[str, ...] = ()
    scale: Literal["linear", "symlog"] = "linear"


PANELS = (
    Panel("Reward", "reward_mean", alerts=("reward_zero", "reward_constant", "judge")),
    Panel("KL divergence", "kl_divergence", "nats per token", alerts=("kl",), scale="symlog"),
    Panel("Policy loss", "policy_loss", alerts=("nan",)),
    Panel("Value loss", "value_loss", alerts=("value_loss",)),
    Panel("Explained variance", "explained_variance"),
    Panel("Clip fraction", "clip_fraction"),
    Panel("Entropy", "entropy", "nats per token", alerts=("entropy",)),
    Panel("Advantages", "advantage_mean", band=("advantage_min", "advantage_max")),
    Panel("Response length", "response_length", "tokens", alerts=("length",)),
    Panel("Truncated responses", "truncated", "share", alerts=("truncated",)),
    Panel("Throughput", "throughput", "tokens per second"),
)


def shown(series: Series) -> list[Panel]:
    """What a run measures; the reward first."""
    return [panel for panel in PANELS if series.values(panel.name)]


def parts(series: Series) -> dict[str, str]:
    """Name -> column of what the reward is made of; none when the only part is the reward."""
    columns = {name.removeprefix(PART): name for name in series.names if name.startswith(PART)}
    found = {name: column for name, column in columns.items() if not name.endswith(BESIDE)}
    reward = series.points("reward_mean")
    unlike = {n: c for n, c in found.items() if not _alike(series.points(c), reward)}
    return dict(list(unlike.items())[:MOST_PARTS])


def _alike(left: list[tuple[int, float]], right: list[tuple[int, float]]) -> bool:
    """verl rounds to float32 what a part keeps in full."""
    near = (a[0] == b[0] and abs(a[1] - b[1]) < 1e-5 for a, b in zip(left, right, strict=False))
    return len(left) == len(right) and all(near)
