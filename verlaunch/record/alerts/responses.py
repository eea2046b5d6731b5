"""Signs in the responses' lengths: cut off (truncated), or longer and longer, or shorter and
shorter, while the reward rises (length)."""

from verlaunch.record.alerts.series import LENGTH, LONGEST, REWARD, TRUNCATED, Series, Sign, steps

TRUNCATED_STEPS, TRUNCATED_SHARE = 3, 0.9
LENGTH_STEPS = 10
EXPLODED, COLLAPSED = 2.5, 0.4  # times the length at the start
LEAST_TOKENS = 20  # from 3 tokens to 8 is no explosion
RISEN = 3.0  # standard errors


def truncated(series: Series) -> Sign | None:
    share = series.now(TRUNCATED, TRUNCATED_STEPS)
    if share is None or share < TRUNCATED_SHARE:
        return None
    when = steps(series.begin(TRUNCATED, TRUNCATED_STEPS), series.step)
    longest = series.now(LONGEST, 1) or 0.0
    text = (f"{share:.0%} of responses are cut at {longest:.0f} tokens (median of {when}): raise "
            "--max_response_length, or ask for shorter answers; a base model that never ends needs "
            "an instruct model or a few answers to learn from first.")  # fmt: skip
    return Sign("truncated", text, share)


def length(series: Series) -> Sign | None:
    now = series.now(LENGTH, LENGTH_STEPS)
    if now is None or series.rise(REWARD, LENGTH_STEPS) <= RISEN:
        return None
    start = series.start(LENGTH, LENGTH_STEPS)
    if abs(now - start) < LEAST_TOKENS or COLLAPSED * start < now < EXPLODED * start:
        return None
    longer = now > start
    advice = ("if the longer ones are no better, the reward likes length: lower "
              "--max_response_length or take length out of the reward" if longer else
              "if the short ones only repeat a pattern, the reward is being gamed: raise --kl_coef "
              "or fix the reward")  # fmt: skip
    when = steps(series.begin(LENGTH, LENGTH_STEPS), series.step)
    text = (f"the reward rises while responses {'grow' if longer else 'shrink'} from {start:.0f} "
            f"to {now:.0f} tokens (median of {when}): read samples/; {advice}.")  # fmt: skip
    return Sign("explosion" if longer else "collapse", text, now)
