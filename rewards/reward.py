"""Scores rows by a run's whole reward: its parts together, scaled, gated, weighed, and counted.

    reward = build(RULES)
    await reward.start([])
    await reward.score(Row("math_reasoning", "so 42", "42"))
    # Result(1.0, {"rule_score": 1.0, "rule_failed": 0.0, "answered": 1.0, "reward_failed": 0.0},
    #        False, None)

Every row has the same keys, all finite. A part that fails is one counted row that scores by the
part's policy, never a dead run and never a silent 0. The same object scores in training (where
responses arrive, or in the run's one reward actor) and in ./train.sh score.
"""

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rewards.checks import FAILED, split
from rewards.column_means import ASKED
from rewards.part import CannotStart, Failure, Part, Row
from rewards.scale import Scale
from rewards.spec import PartSpec, RewardSpec, RuleSpec
from rewards.tally import Tally

logger = logging.getLogger(__name__)

FEWEST_REFERENCES = 8  # to take a mean and a deviation from


@dataclass(frozen=True)
class Result:
    """parts: every number beside the score, by the name of its curve; finite, same keys. texts: by
    name as well, for samples."""

    score: float
    parts: dict[str, float]
    failed: bool
    reason: str | None
    texts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Answer:
    """scores: "score" is what counts, scaled. reason: of a failure, which scores stand in for."""

    scores: dict[str, float]
    reason: str | None = None
    asked: bool = True
    texts: dict[str, str] = field(default_factory=dict)

    @property
    def value(self) -> float:
        return self.scores["score"]


class _Asked:
    """One part of the reward with its scale and its book."""

    def __init__(
        self, spec: PartSpec, part: Part, keys: Sequence[str] | None, state: dict[str, Any]
    ) -> None:
        self.spec, self.part = spec, part
        self.scale = Scale(spec.scale, spec.clip, state.get("scale"))
        self._is_scaled = spec.scale != "none" or spec.clip is not None
        if keys is None and part.keys is not None:
            keys = (*part.keys, *["raw"] * self._is_scaled)
        floor = None if self._is_scaled else part.floor
        self.tally = Tally(keys, spec.on_failure, floor, state.get("tally"))
        self.final: str | None = None  # why no later call can succeed

    async def answer(self, row: Row) -> _Answer:
        try:
            found, texts = split(await self.part.score(row))
        except Failure as failure:
            if failure.final:
                self.final = self.final or failure.reason
            return _Answer(self.tally.failed(failure.kind, failure.reason), failure.reason)
        except Exception as error:  # a fault of ours; verl would drop the row without a word
            logger.exception("%s failed on a row", self.spec.name)
            reason = f"{type(error).__name__} in the reward itself; the log has the traceback"
            return _Answer(self.tally.failed("internal", reason), reason)
        raw = {"raw": found["score"]} if self._is_scaled else {}
        score = self.scale(found["score"], row.counts)
        good = self.tally.good({**found, **raw, "score": score}, row.counts)
        return _Answer(good, texts=texts)

    def unasked(self) -> _Answer:
        return _Answer(self.tally.means(), asked=False)

    def columns(self, answer: _Answer, weight: float, alone: bool) -> dict[str, float]:
        """The answer under the names of its curves; a rule that is alone keeps its own names."""
        stem = self.spec.stem
        columns = {self._named(key, answer.scores, alone): own
                   for key, own in answer.scores.items() if key != "score"}  # fmt: skip
        columns |= {self.spec.name: answer.value, f"{stem}_failed": float(bool(answer.reason))}
        if not alone:
            columns |= {f"{stem}_weight": weight, f"{stem}{ASKED}": float(answer.asked)}
        return columns

    def texts(self, answer: _Answer, alone: bool) -> dict[str, str]:
        """By names like those of `columns`."""
        return {self._named(key, (), alone): text for key, text in answer.texts.items()}

    def _named(self, key: str, keys: Collection[str], alone: bool) -> str:
        stem = self.spec.stem
        if key == "raw":  # a judge has a judge_raw of its own
            return f"{stem}_unscaled" if f"{stem}_raw" in keys else f"{stem}_raw"
        plain = alone and isinstance(self.spec.source, RuleSpec)
        return key if plain or key.startswith(f"{stem}_") else f"{stem}_{key}"

    def stop_reason(self) -> str | None:
        why = self.final or self.tally.too_many
        return f"{self.spec.name}: {why}" if why else None

    async def fit(self, references: Sequence[Row]) -> None:
        """The constants of an affine scale, from reference answers. Raises CannotStart."""
        answers = await asyncio.gather(
            *[self.part.score(row) for row in references], return_exceptions=True
        )
        good = [answer["score"] for answer in answers if isinstance(answer, dict)]
        if len(good) < FEWEST_REFERENCES:
            why = [answer for answer in answers if isinstance(answer, BaseException)]
            hint = f" The first failure: {getattr(why[0], 'reason', why[0])}" if why else ""
            raise CannotStart(
                f"{self.spec.name}: an affine scale takes its mean and deviation from at least "
                f"{FEWEST_REFERENCES} rows with a reference answer; {len(good)} were scored.{hint} "
                "Use --rm_scale running, sigmoid or none."
            )
        self.scale.fit(good)

    def state(self) -> dict[str, Any]:
        return {"scale": self.scale.state(), "tally": self.tally.state()}


class Reward:
    """keys: of each part, as an earlier Reward had them (`keys`). state: as `state` gave it."""

    def __init__(
        self,
        spec: RewardSpec,
        parts: Mapping[str, Part],
        keys: Mapping[str, Sequence[str]] | None = None,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        self.spec = spec
        self._asked = {
            part.name: _Asked(
                part,
                parts[part.name],
                (keys or {}).get(part.name),
                (state or {}).get(part.name, {}),
            )
            for part in spec.parts
        }

    async def start(self, references: Sequence[Row], told: Collection[str] = ()) -> list[str]:
        """Starts every part. told: those that were started elsewhere, whose notes are known.

        references: rows whose response is the reference answer, for affine scales.
        Returns notes for the screen. Raises CannotStart.
        """
        names = list(self._asked)
        started = await asyncio.gather(*[self._asked[name].part.start() for name in names])
        notes = [said for name, said in zip(names, started, strict=True) if name not in told]
        for asked in self._asked.values():
            if asked.scale.needs_references:
                await asked.fit(references)
        return [note for said in notes for note in said]

    async def score(self, row: Row) -> Result:
        weights = self.spec.weights_for(row.data_source)
        answers = await self._answers(row, {name for name, weight in weights.items() if weight})
        columns: dict[str, float] = {}
        texts: dict[str, str] = {}
        for name, asked in self._asked.items():
            alone = len(self._asked) == 1
            columns |= asked.columns(answers[name], weights.get(name, 0.0), alone)
            texts |= asked.texts(answers[name], alone)
        score = sum(
            weight * answers[name].value
            for name, weight in weights.items()
            if self._open(name, answers)
        )
        reasons = [answer.reason for answer in answers.values() if answer.reason]
        columns[FAILED] = float(bool(reasons))
        reason = reasons[0] if reasons else None
        return Result(score, columns, bool(reasons), reason, texts)

    async def _answers(self, row: Row, wanted: set[str]) -> dict[str, _Answer]:
        """Parts with a gate wait for the part that they need, and are not asked where it closes,
        or where it failed: then nobody knows, and their means stand in."""
        gates = self.spec.gates
        first = {name for name in wanted if name not in gates}
        first |= {gates[name].needs for name in wanted if name in gates}
        answers = {name: asked.unasked() for name, asked in self._asked.items()}
        answers |= await self._ask(row, first)
        behind = {
            name
            for name in wanted - first
            if self._open(name, answers) and not answers[gates[name].needs].reason
        }
        return answers | await self._ask(row, behind)

    async def _ask(self, row: Row, names: set[str]) -> dict[str, _Answer]:
        ordered = sorted(names)
        found = await asyncio.gather(*[self._asked[name].answer(row) for name in ordered])
        return dict(zip(ordered, found, strict=True))

    def _open(self, name: str, answers: Mapping[str, _Answer]) -> bool:
        gate = self.spec.gates.get(name)
        if gate is None or answers[gate.needs].reason:
            return True
        return answers[gate.needs].value >= gate.at_least

    @property
    def keys(self) -> dict[str, tuple[str, ...]]:
        """What each part returns beside its score, of the parts that have told."""
        told = {name: asked.tally.keys for name, asked in self._asked.items()}
        return {name: keys for name, keys in told.items() if keys is not None}

    @property
    def counters(self) -> dict[str, dict[str, int]]:
        """By part: calls, failed, each kind of failure, dropped_parts and missing_parts."""
        return {name: dict(asked.tally.counters) for name, asked in self._asked.items()}

    @property
    def reasons(self) -> dict[str, dict[str, str]]:
        """By part, the first reason of each kind of failure."""
        return {name: dict(asked.tally.reasons) for name, asked in self._asked.items()}

    def stop_reason(self) -> str | None:
        """Why the run should stop, as one sentence: nothing can be scored, or too much fails."""
        return next(filter(None, (asked.stop_reason() for asked in self._asked.values())), None)

    def curves(self) -> dict[str, float]:
        """Counters and latencies of the parts; those of several reward models by their names."""
        found: dict[str, float] = {}
        for asked in self._asked.values():
            for name, value in asked.part.curves().items():
                found[name if name not in found else f"{asked.spec.stem}/{name}"] = value
        return found

    def state(self) -> dict[str, Any]:
        """Constants and means, as plain data, so that a resumed run scores alike."""
        return {name: asked.state() for name, asked in self._asked.items()}

    async def close(self) -> None:
        await asyncio.gather(*[asked.part.close() for asked in self._asked.values()])
