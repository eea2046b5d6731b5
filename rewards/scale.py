"""From a part's raw score to the number that counts: none, affine, running or sigmoid, then a clip.

    scale = Scale("affine", clip=5.0)
    scale.fit([3.0, 5.0, 7.0])   # mean 5, standard deviation 2
    scale(9.0)                   # 2.0
    Scale("affine", 5.0, scale.state())(9.0)   # 2.0: a resumed run scales alike

A reward model's logits are unbounded and centred anywhere; PPO's critic wants numbers near 0.
"""

import math
from collections.abc import Iterable
from typing import Any

from rewards.spec import Scaling

LEAST_DEVIATION = 1e-6
DEFAULT_CLIP = 5.0  # standard deviations; for affine and running


class Scale:
    """state: of an earlier Scale, to go on from."""

    def __init__(
        self, kind: Scaling, clip: float | None = None, state: dict[str, Any] | None = None
    ) -> None:
        standard = kind in ("affine", "running")
        self.kind, self.clip = kind, DEFAULT_CLIP if clip is None and standard else clip
        state = state or {}
        self._count = int(state.get("count", 0))
        self._mean = float(state.get("mean", 0.0))
        self._squares = float(state.get("squares", 0.0))  # sum of squared distances to the mean

    @property
    def needs_references(self) -> bool:
        return self.kind == "affine" and self._count == 0

    def fit(self, values: Iterable[float]) -> None:
        for value in values:
            self._see(value)

    def _see(self, value: float) -> None:
        self._count += 1  # Welford's update
        before = value - self._mean
        self._mean += before / self._count
        self._squares += before * (value - self._mean)

    @property
    def mean(self) -> float:
        return self._mean

    @property
    def deviation(self) -> float:
        """Of the sample (n - 1); 1.0 while there is nothing to take it from."""
        if self._count < 2:
            return 1.0
        found = math.sqrt(self._squares / (self._count - 1))
        return found if found > LEAST_DEVIATION else 1.0

    def __call__(self, raw: float, learn: bool = True) -> float:
        """`running` takes the value itself in first, unless it is not to learn from it."""
        if self.kind == "running" and learn:
            self._see(raw)
        value = raw
        if self.kind in ("affine", "running"):
            value = (raw - self._mean) / self.deviation
        elif self.kind == "sigmoid":
            value = 1 / (1 + math.exp(-raw)) if raw >= 0 else 1 - 1 / (1 + math.exp(raw))
        return value if self.clip is None else max(-self.clip, min(self.clip, value))

    def state(self) -> dict[str, Any]:
        return {"count": self._count, "mean": self._mean, "squares": self._squares}
