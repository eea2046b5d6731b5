"""A critic that does not learn (value_loss): its loss does not fall and it explains nothing.

Both together, for either alone is common in healthy runs: the loss of a good critic is flat, and
returns that nobody can predict leave little to explain in the first steps.
"""

from verlaunch.record.alerts.series import (
    EXPLAINED,
    RETURNS_HIGH,
    RETURNS_LOW,
    VALUE_LOSS,
    Series,
    Sign,
    steps,
)

WARMUP = 50  # steps
EXPLAINED_STEPS, EXPLAINED_SHARE = 30, 0.0
LOSS_STEPS, LOSS_SHARE = 10, 0.9  # of its start


def value_loss(series: Series) -> Sign | None:
    loss, explained = series.now(VALUE_LOSS, LOSS_STEPS), series.now(EXPLAINED, EXPLAINED_STEPS)
    if loss is None or explained is None or series.steps < WARMUP:
        return None
    high, low = series.now(RETURNS_HIGH, LOSS_STEPS), series.now(RETURNS_LOW, LOSS_STEPS)
    if high is None or low is None or high - low <= 1e-6:
        return None
    start = series.start(VALUE_LOSS, LOSS_STEPS)
    if explained > EXPLAINED_SHARE or loss < LOSS_SHARE * start or series.is_solved(LOSS_STEPS):
        return None
    when = steps(series.begin(EXPLAINED, EXPLAINED_STEPS), series.step)
    text = (f"the critic does not learn: its loss is {loss:.3g}, {start:.3g} at the start, and its "
            f"explained variance of the returns {explained:.2f} (median of {when}). "
            "Raise --critic_lr or --critic_epochs, or do without a critic: --adv_estimator grpo "
            "--rollout_n 4.")  # fmt: skip
    return Sign("flat", text, loss)
