"""Signs in the reward: nothing to learn from (reward_zero, reward_constant), rows that could not
be scored (judge).

What is constant is told after as many responses as make chance unlikely: a small batch of a hard
task is all zeros now and then.
"""

from verlaunch.record.alerts.series import (
    ANSWERED,
    FAILED,
    HIGHEST,
    LONGEST,
    LOWEST,
    REWARD,
    TRUNCATED,
    Series,
    Sign,
    steps,
)

ALIKE_STEPS = 5
ALIKE_RESPONSES = 100  # a task that is solved in 5 % of cases shows it by then (0.95^100 = 0.6 %)
ALIKE = 1e-6  # two rewards closer than this are the same one
JUDGE_STEPS = 3
JUDGE_SHARE = 0.05  # of rows; at 0.2 of the last 100 calls the run ends by itself
RISING_STEPS = 10
RISING_SHARE, RISING_TIMES = 0.02, 3.0
MOSTLY, HARDLY = 0.9, 0.1


def _alike(series: Series) -> int:
    """How many steps the reward has been one and the same number for every response."""
    now = series.now(REWARD, 1)
    if now is None:
        return 0
    room = ALIKE * max(1.0, abs(now))
    return min(series.streak(key, lambda value: abs(value - now) <= room)
               for key in (LOWEST, HIGHEST))  # fmt: skip


def _enough(series: Series, count: int) -> bool:
    return count >= ALIKE_STEPS and count * (series.responses or ALIKE_RESPONSES) >= ALIKE_RESPONSES


def _why_zero(series: Series) -> str:
    """The likeliest cause, looked for from the surest sign to the least sure."""
    failed = series.now(f"reward/reward{FAILED}", ALIKE_STEPS) or 0.0
    truncated = series.now(TRUNCATED, ALIKE_STEPS) or 0.0
    answered = series.now(ANSWERED, ALIKE_STEPS)
    if failed > 0.5:
        return (f"{failed:.0%} of responses could not be scored. The log has the reason; fix the "
                "judge or the reward function.")  # fmt: skip
    if truncated >= MOSTLY:
        longest = series.now(LONGEST, 1)
        return (f"{truncated:.0%} of responses are cut at {longest or 0:.0f} tokens, before an "
                "answer. Raise --max_response_length.")  # fmt: skip
    if answered is not None and answered <= HARDLY:
        return (f"an answer was found in {answered:.0%} of responses. Ask in the prompts for the "
                "form that the rule reads, or choose another one with --reward_rules.")  # fmt: skip
    return ("no response is right. Look at samples/, and let ./train.sh score show whether the "
            "reward gives reference answers a score (a rule goes by data_source); if it does, the "
            "task is too hard for this model.")  # fmt: skip


def reward_zero(series: Series) -> Sign | None:
    count = _alike(series)
    if not _enough(series, count) or abs(series.now(REWARD, 1) or 0.0) > ALIKE:
        return None
    since = series.begin(REWARD, count)
    text = f"reward always 0 since step {since}: {_why_zero(series)}"
    return Sign("zero", text, 0.0)


def reward_constant(series: Series) -> Sign | None:
    """Not when it is 0, nor when every response has come to get the best score."""
    count, value = _alike(series), series.now(REWARD, 1) or 0.0
    if not _enough(series, count) or abs(value) <= ALIKE or series.is_solved(1):
        return None
    since = series.begin(REWARD, count)
    text = (f"reward is {value:.4g} for every response since step {since}, so the advantages carry "
            "no signal: let ./train.sh score show whether the reward tells good answers from junk; "
            "a higher --temperature makes responses differ.")  # fmt: skip
    return Sign("constant", text, value)


def _worst_part(series: Series) -> str:
    """The curve of the part that fails most; the sum over parts when it is all there is."""
    parts = [key for key in series.named(FAILED) if key != f"reward/reward{FAILED}"]
    shares = {key: series.now(key, JUDGE_STEPS) or 0.0 for key in parts}
    return max(shares, key=lambda key: shares[key], default=f"reward/reward{FAILED}")


def judge(series: Series) -> Sign | None:
    key = _worst_part(series)
    share = series.now(key, JUDGE_STEPS)
    if share is None:
        return None
    name = key.removeprefix("reward/").removesuffix(FAILED)
    earlier = series.start(key, RISING_STEPS)
    rising = (series.steps >= 2 * RISING_STEPS and share >= RISING_SHARE
              and share >= RISING_TIMES * earlier)  # fmt: skip
    if share < JUDGE_SHARE and not rising:
        return None
    first = series.begin(key, JUDGE_STEPS)
    kind = "share" if share >= JUDGE_SHARE else "rising"
    before = f", up from {earlier:.1%}" if kind == "rising" else ""
    text = (f"{share:.1%} of responses could not be scored by {name} in "
            f"{steps(first, series.step)}{before}: the log has the reasons. For a judge lower "
            "--rm_concurrency or --rm_rpm, or raise --rm_timeout or --rm_retries; a function may "
            "need a longer --reward_timeout.")  # fmt: skip
    return Sign(kind, text, share)
