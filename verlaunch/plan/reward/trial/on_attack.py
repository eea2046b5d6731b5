"""Which cheap answers does a reward pay? By kind, and by row.

    for one in paid(source): print(one.kind, len(one.rows), "of", one.tried)

Paid is what earns more than half of what the reference earns above the lowest answer to its
question; four fifths where the answer holds a piece of the reference (attack.py: PARTIAL). A row
whose reference earns no more than junk tells nothing here: on_references.py has told it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from verlaunch.plan.reward.trial.answers import IDLE, REFERENCE
from verlaunch.plan.reward.trial.attack import PARTIAL, PROGRAM, TOGETHER
from verlaunch.plan.reward.trial.measure import Scored
from verlaunch.plan.reward.trial.remark import NAMES, SHOWN, Level, Remark
from verlaunch.plan.reward.trial.summary import NOTHING, Source
from verlaunch.text import plural

PAID, PARTLY = 0.5, 0.8
MOST_ROWS = 0.01  # of those tried, that a kind of cheap answer may be paid on
PROGRAMS = (IDLE, PROGRAM)


@dataclass(frozen=True)
class Paid:
    """tried: rows. rows: by question, the answers that were paid there."""

    kind: str
    tried: int
    rows: dict[int, list[Scored]]

    @property
    def is_bad(self) -> bool:
        return len(self.rows) > MOST_ROWS * self.tried


def _scales(source: Source) -> dict[int, tuple[float, float]]:
    """By question, the lowest score and that of the reference; the best one known without it."""
    scored: dict[int, list[Scored]] = {}
    for one in [*(one for found in source.good.values() for one in found), *source.cheap]:
        scored.setdefault(one.answer.question, []).append(one)
    best = max((one.score for found in scored.values() for one in found), default=0.0)
    scales = {}
    for question, found in scored.items():
        lowest = min(one.score for one in found)
        top = next((one.score for one in found if one.answer.kind == REFERENCE), None)
        junk = max((one.score for one in found if one.answer.kind in NOTHING), default=lowest)
        if top is None or top > junk:
            scales[question] = lowest, best if top is None else top
    return scales


def _is_paid(one: Scored, lowest: float, top: float) -> bool:
    share = (one.score - lowest) / (top - lowest) if top > lowest else 0.0
    return share >= PARTLY if one.answer.kind in PARTIAL else share > PAID


def paid(source: Source, without_reference: bool = True) -> list[Paid]:
    """The kinds that were tried, the most often paid first.

    without_reference: rows that have none count too; else only for programs that do nothing.
    """
    scales = _scales(source)
    known = {one.answer.question for one in source.of(REFERENCE)}
    kinds: dict[str, dict[int, list[Scored]]] = {}
    for one in [*(one for kind in NOTHING for one in source.of(kind)), *source.cheap]:
        kind, question = one.answer.kind, one.answer.question
        counts = without_reference or question in known or kind in PROGRAMS
        if counts and question in scales:
            answers = kinds.setdefault(kind, {}).setdefault(question, [])
            answers += [one] if _is_paid(one, *scales[question]) else []
    found = []
    for kind, rows in kinds.items():
        least = TOGETHER.get(kind, 1)
        enough = {number: answers for number, answers in rows.items() if len(answers) >= least}
        found.append(Paid(kind, len(rows), enough))
    return sorted(found, key=lambda one: -len(one.rows) / one.tried)


def sentence(kinds: Sequence[Paid]) -> str:
    listed = ", ".join(
        f"{NAMES.get(one.kind, one.kind)} on {len(one.rows)} of {one.tried}" for one in kinds
    )
    return f"cheap answers are paid ({listed} rows), and PPO learns what is paid"


def on_attack(source: Source) -> Iterator[Remark]:
    """Nothing where no cheap answers were tried."""
    kinds = [one for one in paid(source) if one.rows]
    if kinds and source.cheap:
        level: Level = "bad" if any(one.is_bad for one in kinds) else "look"
        firsts = [next(iter(one.rows.values()))[0] for one in kinds]
        yield Remark(level, sentence(kinds), tuple(firsts[: 2 * SHOWN]))
    elif source.cheap:
        yield Remark("good", f"none of {plural(len(source.cheap), 'cheap answer')} is paid")
