"""The book of a run's rewards: stable keys, running means, failures by kind.

    tally = Tally()
    tally.good({"score": 1.0, "form": 0.5})    # Result(1.0, {"form": 0.5, "reward_failed": 0.0})
    tally.failed("hang", "no answer in 30 s")  # Result(1.0, {"form": 0.5, "reward_failed": 1.0})

A failed row gets the mean of the good rows so far, in its score and in each part: neither praise
nor blame, and no dent in a curve. 0.0 stands in while there is no good row yet.
"""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

from rewards.checks import FAILED

WINDOW = 100  # calls that the share of failures is taken over
FEWEST = 20  # calls before it says anything
SHARE = 0.2


@dataclass(frozen=True)
class Result:
    """parts: what the function returned beside its score, and reward_failed; finite, same keys."""

    score: float
    parts: dict[str, float]
    failed: bool
    reason: str | None


class Tally:
    """keys: names of the parts where they are known; else the first good row fixes them."""

    def __init__(self, keys: Sequence[str] | None = None, on_failure: str | float = "neutral"):
        if isinstance(on_failure, str) and on_failure != "neutral":
            raise ValueError(f"on_failure is 'neutral' or a number, not {on_failure!r}")
        self.keys = None if keys is None else tuple(keys)
        self.on_failure = on_failure
        self.counters: Counter[str] = Counter()
        self.reasons: dict[str, str] = {}  # the first of each kind
        self._sums: Counter[str] = Counter()
        self._seen: Counter[str] = Counter()
        self._recent: deque[str | None] = deque(maxlen=WINDOW)

    def _mean(self, key: str) -> float:
        return self._sums[key] / self._seen[key] if self._seen[key] else 0.0

    def good(self, scores: dict[str, float]) -> Result:
        """Parts that the first row had not are dropped, those that are missing get their mean."""
        if self.keys is None:
            self.keys = tuple(key for key in scores if key != "score")
        for key, given in scores.items():
            if key == "score" or key in self.keys:
                self._sums[key] += given  # type: ignore[assignment]  # typeshed counts in ints
                self._seen[key] += 1
        self.counters["dropped_parts"] += len(scores.keys() - {"score", *self.keys})
        self.counters["missing_parts"] += len(set(self.keys) - scores.keys())
        self._record(None)
        parts = {key: scores.get(key, self._mean(key)) for key in self.keys}
        return Result(scores["score"], {**parts, FAILED: 0.0}, False, None)

    def failed(self, kind: str, reason: str) -> Result:
        self.counters["failed"] += 1
        self.counters[kind] += 1
        self.reasons.setdefault(kind, reason)
        self._record(kind)
        parts = {key: self._mean(key) for key in self.keys or ()}
        neutral = self._mean("score")
        score = neutral if isinstance(self.on_failure, str) else float(self.on_failure)
        return Result(score, {**parts, FAILED: 1.0}, True, reason)

    def _record(self, kind: str | None) -> None:
        self.counters["calls"] += 1
        self._recent.append(kind)

    def too_many(self) -> str | None:
        """A sentence when more than SHARE of the last WINDOW calls failed, at least FEWEST."""
        kinds = Counter(kind for kind in self._recent if kind)
        failed = sum(kinds.values())
        if len(self._recent) < FEWEST or failed <= SHARE * len(self._recent):
            return None
        worst, _ = kinds.most_common(1)[0]
        listed = ", ".join(f"{kind} {count}" for kind, count in kinds.most_common())
        return (
            f"{failed} of the last {len(self._recent)} rewards failed ({listed}; "
            f"at most {SHARE:.0%} may). The first {worst}: {self.reasons[worst]}"
        )
