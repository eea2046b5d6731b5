"""Do the reference answers score above empty and junk ones? Asked question by question.

for finding in on_references(source): ...   # "all 50 reference answers score above ..."
"""

from collections.abc import Iterator

from verlaunch.plan.reward.trial.answers import IDLE, REFERENCE, RESPONSE
from verlaunch.plan.reward.trial.glance import short
from verlaunch.plan.reward.trial.measure import Scored
from verlaunch.plan.reward.trial.remark import SHOWN, Remark, answered_share, digits, some, verb
from verlaunch.plan.reward.trial.summary import NOTHING, Source

LEAST_BETTER = 0.5  # of the questions whose reference scores above empty and junk
NO_REFERENCE = (
    "the rows have no reference answer, so nothing shows that a good answer scores high; "
    "if they have one, name its column with --answer_key"
)


def _compared(source: Source) -> tuple[list[Scored], list[Scored]]:
    """References that score above the empty and the junk answer to their question; the others."""
    worst: dict[int, float] = {}
    for one in [one for kind in NOTHING for one in source.of(kind)]:
        question = one.answer.question
        worst[question] = max(one.score, worst.get(question, one.score))
    compared = [one for one in source.of(REFERENCE) if one.answer.question in worst]
    better = [one for one in compared if one.score > worst[one.answer.question]]
    return better, [one for one in compared if one.score <= worst[one.answer.question]]


def _no_better(source: Source, others: list[Scored]) -> Remark:
    score = digits(source.scores[REFERENCE].mean)
    text = (
        f"the reward does not tell reference answers from junk (reference {score}, "
        + ", ".join(f"{kind} {digits(mean)}" for kind, mean in source.rubbish.items())
        + ")"
    )
    if source.is_constant:
        text = f"constant reward: every answer scores {score}, good or bad"
    if answered_share(source.of(REFERENCE)) == 0:
        text = f"the reference answers score {score}: the rule finds no answer in them"
    first = short(source.of(REFERENCE)[0].answer.row.response)
    return Remark("bad", f"{text}; the first reference: {first}", tuple(others[:SHOWN]))


def _better(source: Source, better: list[Scored], others: list[Scored]) -> Remark:
    both = better + others
    said = f"{some(better, both, 'reference answer')} {verb(both, 'scores', 'score')} above"
    rubbish = "empty, junk and `pass` answers" if source.of(IDLE) else "empty and junk answers"
    if not others:
        return Remark("good", f"{said} {rubbish}")
    first = short(others[0].answer.row.response)
    return Remark(
        "look",
        f"only {said} {rubbish}; the first that does not: {first}",
        tuple(others[:SHOWN]),
    )


def on_references(source: Source) -> Iterator[Remark]:
    better, others = _compared(source)
    if not better and not others:
        if not source.failed:
            yield Remark("look" if source.of(RESPONSE) else "bad", NO_REFERENCE)
        return
    too_few = len(better) < LEAST_BETTER * len(better + others)
    if too_few or source.scores[REFERENCE].mean <= max(source.rubbish.values()):
        yield _no_better(source, others)
    else:
        yield _better(source, better, others)
