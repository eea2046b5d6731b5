"""What the scored answers of one data_source say, counted: by kind of answer, and by part.

    for source in summarise(spec, scored):
        print(source.name, source.scores["reference"].mean, source.parts)

An answer that failed has no score of its own: it is counted, and in no mean.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

import numpy as np

from rewards.spec import RewardSpec, RuleSpec
from verlaunch.plan.reward.trial.answers import EMPTY, IDLE, KINDS, RUBBISH
from verlaunch.plan.reward.trial.measure import Scored

NOTHING = (EMPTY, RUBBISH, IDLE)  # answers that should be the lowest


@dataclass(frozen=True)
class Distribution:
    """std: of these values (n). at_lowest, at_highest: shares of them at the ends of the scale."""

    count: int
    mean: float
    std: float
    min: float
    q1: float
    median: float
    q3: float
    max: float
    at_lowest: float
    at_highest: float


@dataclass(frozen=True)
class PartMeans:
    """weight, latency_p50_s: None for what a part returns beside its score.

    means: by kind of answer, over those that the part was asked about.
    """

    name: str
    weight: float | None
    means: dict[str, float]
    is_constant: bool
    latency_p50_s: float | None


@dataclass(frozen=True)
class Source:
    """good: by kind, what got a score of its own. lowest, highest: score of any of these.

    cheap: answers of an attack that got one (attack.py); they are in no other number.
    """

    name: str
    good: dict[str, list[Scored]]
    failed: list[Scored]
    questions: int
    scores: dict[str, Distribution]
    parts: list[PartMeans]
    lowest: float
    highest: float
    latency_p50_s: float
    latency_p95_s: float
    cheap: list[Scored]

    @property
    def calls(self) -> int:
        return len(self.failed) + sum(map(len, self.good.values()))

    @property
    def is_constant(self) -> bool:
        return self.lowest == self.highest

    @property
    def rubbish(self) -> dict[str, float]:
        """Mean score of the answers that should be the lowest, as far as they were scored."""
        return {kind: self.scores[kind].mean for kind in NOTHING if kind in self.scores}

    def of(self, kind: str) -> list[Scored]:
        return self.good.get(kind, [])


def quantile(values: Sequence[float], share: float) -> float:
    """Between the two values beside it; `share` in [0, 1]."""
    return float(np.quantile(values, share))


def distribution(values: Sequence[float], lowest: float, highest: float) -> Distribution:
    """values: at least one. lowest, highest: the ends of the scale that `values` are part of."""
    return Distribution(
        count=len(values),
        mean=fmean(values),
        std=pstdev(values),
        min=min(values),
        q1=quantile(values, 0.25),
        median=quantile(values, 0.5),
        q3=quantile(values, 0.75),
        max=max(values),
        at_lowest=sum(value <= lowest for value in values) / len(values),
        at_highest=sum(value >= highest for value in values) / len(values),
    )


def columns(spec: RewardSpec, one: Scored) -> dict[str, float]:
    """What the parts said of an answer, by the names that the curves of a run have."""
    found: dict[str, float] = {}
    for part in spec.parts:
        scores = one.said[part.name].scores if part.name in one.said else None
        if scores is None:
            continue
        found[part.name] = one.result.parts[part.name]
        if part.scale != "none" or part.clip is not None:
            found[f"{part.stem}_raw"] = scores["score"]
        for key in scores.keys() - {"score"}:
            alone = len(spec.parts) == 1 and isinstance(part.source, RuleSpec)
            is_plain = alone or key.startswith(f"{part.stem}_")
            found[key if is_plain else f"{part.stem}_{key}"] = scores[key]
    return found


def _latency(name: str, scored: Sequence[Scored]) -> float | None:
    found = [one.said[name].latency_s for one in scored if name in one.said]
    return quantile(found, 0.5) if found else None


def _parts(spec: RewardSpec, name: str, scored: Sequence[Scored]) -> Iterator[PartMeans]:
    """The parts' scores first, then what else they returned."""
    weights = {part.name: 0.0 for part in spec.parts} | spec.weights_for(name)
    said: dict[str, dict[str, list[float]]] = {column: {} for column in weights}
    for one in scored:
        for column, value in sorted(columns(spec, one).items()):
            said.setdefault(column, {}).setdefault(one.answer.kind, []).append(value)
    for column, kinds in said.items():
        if kinds:
            yield PartMeans(
                name=column,
                weight=weights.get(column),
                means={kind: fmean(values) for kind, values in kinds.items()},
                is_constant=len({value for values in kinds.values() for value in values}) == 1,
                latency_p50_s=_latency(column, scored),
            )


def _summary(spec: RewardSpec, name: str, everything: Sequence[Scored]) -> Source:
    scored = [one for one in everything if one.answer.kind in KINDS]
    fine = [one for one in scored if not one.result.failed]
    good = {kind: [one for one in fine if one.answer.kind == kind] for kind in KINDS}
    good = {kind: found for kind, found in good.items() if found}
    values = [one.score for one in fine]
    lowest, highest = min(values, default=0.0), max(values, default=0.0)
    latencies = [one.latency_s for one in scored]
    return Source(
        name=name,
        good=good,
        failed=[one for one in scored if one.result.failed],
        questions=len({one.answer.question for one in scored}),
        scores={
            kind: distribution([one.score for one in found], lowest, highest)
            for kind, found in good.items()
        },
        parts=list(_parts(spec, name, scored)),
        lowest=lowest,
        highest=highest,
        latency_p50_s=quantile(latencies, 0.5),
        latency_p95_s=quantile(latencies, 0.95),
        cheap=[one for one in everything if one.answer.kind not in KINDS and not one.result.failed],
    )


def summarise(spec: RewardSpec, scored: Sequence[Scored]) -> list[Source]:
    """One for each data_source, in the order in which they come."""
    groups: dict[str, list[Scored]] = {}
    for one in scored:
        groups.setdefault(one.answer.row.data_source, []).append(one)
    return [_summary(spec, name, found) for name, found in groups.items()]
