"""The client's counters and latencies, as the curves of a run.

stats.curves()["judge/latency_p95_s"]    # of the last 1000 requests that were answered
"""

from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager

from rewards.judge.costs import Tokens

RECENT = 1000
COUNTERS = (
    *("calls", "requests", "retries", "failed_requests"),
    *("input_tokens", "output_tokens"),
)


def _quantile(values: list[float], share: float) -> float:
    return values[min(int(share * len(values)), len(values) - 1)] if values else 0.0


class Stats:
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._in_flight = self._in_flight_max = 0
        self._latencies: deque[float] = deque(maxlen=RECENT)

    @contextmanager
    def request(self) -> Iterator[None]:
        self.counts["requests"] += 1
        self._in_flight += 1
        self._in_flight_max = max(self._in_flight_max, self._in_flight)
        try:
            yield
        finally:
            self._in_flight -= 1

    def answered(self, latency_s: float, tokens: Tokens) -> None:
        """latency_s: of the one request, without waits for limits and without retries."""
        self._latencies.append(latency_s)
        self.counts["input_tokens"] += tokens.input
        self.counts["output_tokens"] += tokens.output

    @property
    def has_answers(self) -> bool:
        return bool(self._latencies)

    def curves(self) -> dict[str, float]:
        latencies = sorted(self._latencies)
        return {
            **{f"judge/{name}": float(self.counts[name]) for name in COUNTERS},
            "judge/latency_p50_s": _quantile(latencies, 0.5),
            "judge/latency_p95_s": _quantile(latencies, 0.95),
            "judge/in_flight_max": float(self._in_flight_max),
        }
