"""One thing found out about a reward: how bad it is, a sentence in plain words, and examples.

    Remark("bad", f"{some(low, responses, 'response')} {verb(low, 'is', 'are')} empty", tuple(low))

"bad": PPO would learn nothing, or the wrong thing; "look": worth a look; "good": as it should be.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from verlaunch.plan.reward.trial.answers import EMPTY, IDLE, REFERENCE, RUBBISH
from verlaunch.plan.reward.trial.measure import Scored
from verlaunch.text import plural

SHOWN = 2  # examples
NAMES = {
    REFERENCE: "a reference answer",
    EMPTY: "an empty response",
    RUBBISH: "junk",
    IDLE: "`pass`",
}
Level = Literal["bad", "look", "good"]


@dataclass(frozen=True)
class Remark:
    level: Level
    text: str
    examples: tuple[Scored, ...] = ()


def digits(value: float) -> str:
    return f"{value:.3g}"


def some(part: Sequence[object], whole: Sequence[object], noun: str) -> str:
    """ "3 of 50 responses", "all 50 responses", "the response"."""
    if len(whole) == 1:
        return f"the {noun}"
    count = "all" if len(part) == len(whole) else f"{len(part)} of"
    return f"{count} {plural(len(whole), noun)}"


def verb(subjects: Sequence[object], one: str, many: str) -> str:
    return one if len(subjects) == 1 else many


def answered_share(scored: Sequence[Scored]) -> float | None:
    """Share in which the rule found an answer at all; None when the rule does not say."""
    answers = [said.scores for one in scored for said in one.said.values() if said.scores]
    found = [scores["answered"] for scores in answers if "answered" in scores]
    return sum(found) / len(found) if found else None
