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
    `floor`), "raise" (as neutral, and the first one is a reason to stop), or a number.
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
        self.too_many: str | None = None  # once it is a sentence, it stays

    def mean(self, key: str) -> float:
        return self._sums[key] / self._seen[key] if self._seen[key] else 0.0

    def means(self) -> dict[str, float]:
        """What stands in for a row that failed or was not asked."""
        return {key: self.mean(key) for key in ("score", *(self.keys or ()))}

    def good(self, scores: dict[str, float], learn: bool = True) -> dict[str, float]:
        """Keys that the first row had not are dropped, those that are missing get their mean.

        learn: whether the row moves the means.
        """
        if self.keys is None:
            self.keys = tuple(key for key in scores if key != "score")
        if learn:
            self._learn(scores)
        self.counters["dropped_parts"] += len(scores.keys() - {"score", *self.keys})
        self.counters["missing_parts"] += len(set(self.keys) - scores.keys())
        self._record(None)
        rest = {key: scores.get(key, self.mean(key)) for key in self.keys}
        return {"score": scores["score"], **rest}

    def _learn(self, scores: dict[str, float]) -> None:
        for key in {"score", *(self.keys or ())} & scores.keys():
            self._sums[key] += scores[key]  # type: ignore[assignment]  # typeshed counts in ints
            self._seen[key] += 1
        score = scores["score"]
        self._lowest = score if self._lowest is None else min(self._lowest, score)

    def failed(self, kind: str, reason: str) -> dict[str, float]:
        self.counters["failed"] += 1
        self.counters[kind] += 1
        self.reasons.setdefault(kind, reason)
        self._record(kind)
        self.too_many = self.too_many or self._judge_window()
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

    def _judge_window(self) -> str | None:
        """A sentence when the policy is "raise", or more than SHARE of the last WINDOW failed.

        Of fewer calls it takes one failure more: every fifth is allowed, whichever comes first.
        """
        kinds = Counter(kind for kind in self._recent if kind)
        failed = sum(kinds.values())
        worst, _ = kinds.most_common(1)[0]
        if self.on_failure == "raise":
            return f"a reward failed ({worst}): {self.reasons[worst]}"
        calls = len(self._recent)
        if calls < FEWEST or failed - (calls < WINDOW) <= SHARE * calls:
            return None
        listed = ", ".join(f"{kind} {count}" for kind, count in kinds.most_common())
        return (
            f"{failed} of the last {calls} rewards failed ({listed}; at most {SHARE:.0%} may). "
            f"The first {worst}: {self.reasons[worst]}"
        )

    def state(self) -> dict[str, Any]:
        """What a resumed run goes on from, as plain data."""
        sums, seen = dict(self._sums), dict(self._seen)
        return {"sums": sums, "seen": seen, "lowest": self._lowest}
