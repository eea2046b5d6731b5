"""What scoring will ask of a judge, said before the first call: how many calls, at what price.

list(bill(spec, answers, references=0))   # ["judge_score: at most 102 calls of qwen-plus ..."]
"""

from collections.abc import Iterator, Sequence

from rewards.spec import JudgeSpec, RewardSpec
from verlaunch.plan.reward.checks import counts
from verlaunch.plan.reward.trial.answers import Answer
from verlaunch.text import plural

PROBES = 2  # the good and the bad answer at the start
CHARACTERS = 3  # of a token, at least, in most languages


def _input_tokens(judge: JudgeSpec, answer: Answer) -> float:
    row = answer.row
    prompt = "".join(str(message.get("content")) for message in row.messages)
    texts = (judge.system_prompt, judge.scoring_prompt, prompt, row.response, str(row.ground_truth))
    return sum(map(len, texts)) / CHARACTERS


def _dollars(judge: JudgeSpec, answers: Sequence[Answer], calls: int) -> str:
    """An upper bound, where the price is known."""
    from rewards.judge.costs import Tokens, find_price

    is_own = judge.base_url is not None and judge.provider == "openai"  # a judge on one's own cards
    price = None if is_own else find_price(judge.provider, judge.model)
    if price is None:
        return "price not known here"
    tokens = max((_input_tokens(judge, answer) for answer in answers), default=0.0)
    most = price.usd(Tokens(int(tokens * calls), judge.max_tokens * calls))
    return f"at most about ${most:.2g}"


def bill(spec: RewardSpec, answers: Sequence[Answer], references: int) -> Iterator[str]:
    """One line for each judge. Nothing is counted as cached; empty answers need no call."""
    for part in spec.parts:
        judge = part.source
        if not isinstance(judge, JudgeSpec):
            continue
        asked = [
            answer
            for answer in answers
            if answer.row.response.strip() and counts(spec, part.name, answer.row.data_source)
        ]
        affine = references if part.scale == "affine" else 0
        calls = PROBES + (len(asked) + affine) * judge.samples
        yield (
            f"{part.name}: at most {plural(calls, 'call')} of {judge.model} ({judge.provider}), "
            f"{_dollars(judge, asked, calls)}; --rows N for fewer."
        )
