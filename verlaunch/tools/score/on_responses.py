"""What is wrong with responses of a policy, or with how they score.

for finding in on_responses(source): ...   # "every response scores 0: none has an answer that ..."
"""

from collections.abc import Iterator

from verlaunch.plan.reward.trial.answers import RESPONSE
from verlaunch.plan.reward.trial.glance import looks_cut, states
from verlaunch.plan.reward.trial.measure import Scored
from verlaunch.plan.reward.trial.remark import (
    NAMES,
    SHOWN,
    Remark,
    answered_share,
    digits,
    some,
    verb,
)
from verlaunch.plan.reward.trial.summary import Source
from verlaunch.text import plural

LEAST_LOW = 0.1  # of the responses at the lowest score, before it is asked why
MOST_CUT = 0.5  # of the lowest responses
DIFFERENT = 1e-6  # between a score in the file and ours


def _why_lowest(responses: list[Scored]) -> str:
    share = answered_share(responses)
    if share is None:
        return "no better than the worst answer"
    if share == 0:
        return "none has an answer that the rule finds (answered 0 %)"
    return f"an answer is found in {share:.0%} of them, and it is never the right one"


def _all_alike(source: Source, responses: list[Scored]) -> Iterator[Remark]:
    score = responses[0].score
    said = f"{verb(responses, 'the', 'every')} response scores {digits(score)}"
    if score <= source.lowest:
        yield Remark("bad", f"{said}: {_why_lowest(responses)}", tuple(responses[:SHOWN]))
    elif score >= source.highest:
        yield Remark("look", f"{said}, the highest: nothing is left to learn")
    elif len(responses) > 1:
        yield Remark("bad", f"{said}: PPO learns from differences, and there are none")


def _against_junk(source: Source) -> Iterator[Remark]:
    rivals, mean = source.rubbish, source.scores[RESPONSE].mean
    best = max(rivals, key=lambda kind: rivals[kind], default="")
    if rivals and mean <= rivals[best]:
        yield Remark(
            "look",
            f"the responses score {digits(mean)} on average, no better than {NAMES[best]} "
            f"({digits(rivals[best])})",
        )


def _low_ones(low: list[Scored], responses: list[Scored]) -> Iterator[Remark]:
    """Why they may be the lowest."""
    empty = [one for one in low if not one.answer.row.response.strip()]
    cut = [one for one in low if looks_cut(one.answer.row.response)]
    stating = [one for one in low if states(one.answer.row.response, one.answer.row.ground_truth)]
    if empty:
        said = some(empty, responses, "response")
        yield Remark("look", f"{said} {verb(empty, 'is', 'are')} empty")
    if len(cut) > MOST_CUT * len(low):
        said = f"{some(cut, responses, 'response')} {verb(cut, 'stops', 'stop')}"
        yield Remark(
            "look",
            f"{said} in mid-sentence and score{verb(cut, 's', '')} the lowest, as if cut before a "
            "final answer: raise --max_response_length, or ask for less",
            tuple(cut[:SHOWN]),
        )
    if stating:
        said = f"{some(stating, responses, 'response')} {verb(stating, 'ends', 'end')}"
        yield Remark(
            "look",
            f"{said} with the reference answer, and the lowest score all the same",
            tuple(stating[:SHOWN]),
        )


def _told_otherwise(responses: list[Scored]) -> Iterator[Remark]:
    told = [(one, one.answer.told) for one in responses if one.answer.told is not None]
    others = [(one, score) for one, score in told if abs(score - one.score) > DIFFERENT]
    if others:
        one, score = others[0]
        yield Remark(
            "look",
            f"{len(others)} of {plural(len(told), 'score')} are not as in the file; the first is "
            f"{digits(score)} there and {digits(one.score)} here: the file's reward was another "
            "one, or it changes from call to call",
        )


def on_responses(source: Source) -> Iterator[Remark]:
    responses = source.of(RESPONSE)
    if not responses:
        return
    if source.scores[RESPONSE].std == 0:
        yield from _all_alike(source, responses)
    else:
        yield from _against_junk(source)
    low = [one for one in responses if one.score <= source.lowest]
    if low and len(low) >= LEAST_LOW * len(responses):
        yield from _low_ones(low, responses)
    yield from _told_otherwise(responses)
