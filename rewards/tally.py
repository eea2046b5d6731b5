"""The book of one part's scores: stable keys, running means, failures by kind.

    tally = Tally()
    tally.good({"score": 1.0, "form": 0.5})    # {"score": 1.0, "form": 0.5}
    tally.failed("hang", "no answer in 30 s")  # {"score": 1.0, "form": 0.5}

A failed row gets the mean of the good rows so far, in its score and in each key: neither praise
nor blame, and no dent in a curve. 0.0 stands in while there is no good row yet.
"""

from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

WINDOW = 100  # calls that the share of failures is taken over
FEWEST = 20  # calls before it says anything
SHARE = 0.2


class Tally:
    """keys: beside the score, where they are known; else the first good row fixes them.

    on_failure: what a failed row scores: "neutral" (the mean), "min" (the lowest so far, or
    `floor`), "raise" (as neutral; who asks `too_many` stops the run), or a number.
    state: of an earlier Tally, to go on from.
    """

    def __init__(
        self,
        keys: Sequence[str] | None = None,
        on_failure: str | float = "neutral",
        floor: float | None = None,
        state: dict[str, Any] | None = None,
    ) -> None:
        if isinstance(on_failure, str) and on_failure not in ("neutral", "min", "raise"):
            raise ValueError(f"on_failure is neutral, min, raise or a number, not {on_failure!r}")
        state = state or {}
        self.keys = None if keys is None else tuple(keys)
        self.on_failure = on_failure
        self.counters: Counter[str] = Counter()
        self.reasons: dict[str, str] = {}  # the first of each kind
        self._sums: Counter[str] = Counter(state.get("sums", {}))
        self._seen: Counter[str] = Counter(state.get("seen", {}))
        self._lowest: float | None = state.get("lowest", floor)
        self._recent: deque[str | None] = deque(maxlen=WINDOW)

    def forget_keys(self) -> None:
        """The next good row fixes them again."""
        self.keys = None

    def mean(self, key: str) -> float:
        return self._sums[key] / self._seen[key] if self._seen[key] else 0.0

    def means(self) -> dict[str, float]:
        """A row that was not asked, or failed, in numbers that change no mean."""
        return {key: self.mean(key) for key in ("score", *(self.keys or ()))}

    def good(self, scores: dict[str, float]) -> dict[str, float]:
        """Keys that the first row had not are dropped, those that are missing get their mean."""
        if self.keys is None:
            self.keys = tuple(key for key in scores if key != "score")
        for key, given in scores.items():
            if key == "score" or key in self.keys:
                self._sums[key] += given  # type: ignore[assignment]  # typeshed counts in ints
                self._seen[key] += 1
        score = scores["score"]
        self._lowest = score if self._lowest is None else min(self._lowest, score)
        self.counters["dropped_parts"] += len(scores.keys() - {"score", *self.keys})
        self.counters["missing_parts"] += len(set(self.keys) - scores.keys())
        self._record(None)
        return {"score": score, **{key: scores.get(key, self.mean(key)) for key in self.keys}}

    def failed(self, kind: str, reason: str) -> dict[str, float]:
        self.counters["failed"] += 1
        self.counters[kind] += 1
        self.reasons.setdefault(kind, reason)
        self._record(kind)
        return {**self.means(), "score": self._stand_in()}

    def _stand_in(self) -> float:
        if not isinstance(self.on_failure, str):
            return float(self.on_failure)
        if self.on_failure == "min":
            return self._lowest if self._lowest is not None else 0.0
        return self.mean("score")

    def _record(self, kind: str | None) -> None:
        self.counters["calls"] += 1
        self._recent.append(kind)

    def too_many(self) -> str | None:
        """A sentence when the policy is "raise" and a call failed, or when more than SHARE of the
        last WINDOW calls did, at least FEWEST."""
        kinds = Counter(kind for kind in self._recent if kind)
        failed = sum(kinds.values())
        if not failed:
            return None
        worst, _ = kinds.most_common(1)[0]
        if self.on_failure == "raise":
            return f"a reward failed ({worst}): {self.reasons[worst]}"
        if len(self._recent) < FEWEST or failed <= SHARE * len(self._recent):
            return None
        listed = ", ".join(f"{kind} {count}" for kind, count in kinds.most_common())
        return (
            f"{failed} of the last {len(self._recent)} rewards failed ({listed}; "
            f"at most {SHARE:.0%} may). The first {worst}: {self.reasons[worst]}"
        )

    def state(self) -> dict[str, Any]:
        """What a resumed run goes on from, as plain data."""
        sums, seen = dict(self._sums), dict(self._seen)
        return {"sums": sums, "seen": seen, "lowest": self._lowest}
