"""Signs in the updates: numbers that are none (nan), the distance to the reference (kl), a policy
that stops exploring (entropy), a critic that does not learn (value_loss)."""

from verlaunch.record.alerts.series import (
    ENTROPY,
    EXPLAINED,
    KL,
    LENGTH,
    RETURNS_HIGH,
    RETURNS_LOW,
    REWARD,
    VALUE_LOSS,
    Series,
    Sign,
    steps,
)  # fmt: skip
from verlaunch.record.report.names import KL_FAR, KL_LOW, kl_high

KL_STEPS, KL_WARMUP = 5, 5  # it is 0 at the first step of every run
LOW_STEPS, LOW_WARMUP = 10, 30  # --lr 1e-6 takes that long to show
ENTROPY_STEPS, ENTROPY_WARMUP = 5, 15
ENTROPY_SHARE = 0.1  # of its start
SHOWN = 4  # names of metrics
RISEN = 3.0  # standard errors
CRITIC_WARMUP = 50  # steps
EXPLAINED_STEPS, EXPLAINED_SHARE = 30, 0.0
LOSS_STEPS, LOSS_SHARE = 10, 0.9  # of its start


def nan(series: Series) -> Sign | None:
    """At once: one such number can spoil the weights."""
    if not series.broken:
        return None
    more = f" and {len(series.broken) - SHOWN} more" if len(series.broken) > SHOWN else ""
    names = ", ".join(series.broken[:SHOWN]) + more
    # verl leaves such a step out (workers/engine/fsdp/transformer_impl.py:823).
    skipped = any(name.endswith("grad_norm") for name in series.broken)
    what = "; a gradient that is not finite was not applied" if skipped else ""
    mend = (
        "Lower --lr (for critic/ names --critic_lr) or --max_grad_norm; --resume "
        "FOLDER/checkpoints/global_step_N goes back to a checkpoint from before it."
    )
    if series.step == 1:  # nothing was learned yet that --lr could have spoiled
        mend = (
            "So early it comes from the model's own weights or from the reward, not from --lr: "
            "Ctrl-C, then download the model again or take another --model."
        )
    text = f"not a finite number in step {series.step}: {names}{what}. {mend}"
    return Sign("nan", text, float("nan"))


def kl(series: Series, target_kl: float | None = None) -> Sign | None:
    """target_kl: an adaptive coefficient leads the KL to it, wherever that lies."""
    key = next((key for key in KL if series.last(key, 1)), KL[0])
    high = series.now(key, KL_STEPS)
    healthy = kl_high(series.last(LENGTH, KL_STEPS))
    if high is not None and high > healthy and series.steps > KL_WARMUP and target_kl is None:
        return _above(high, healthy, steps(series.begin(key, KL_STEPS), series.step))
    low = series.now(key, LOW_STEPS)
    moved = series.rise(REWARD, LOW_STEPS) > RISEN
    if low is not None and abs(low) < KL_LOW and series.steps >= LOW_WARMUP and not moved:
        return _below(low, steps(series.begin(key, LOW_STEPS), series.step))
    return None


def _above(value: float, healthy: float, when: str) -> Sign:
    seen = f"KL to the reference is {value:.3g} per token (median of {when})"
    if value > KL_FAR:
        return Sign("far above", f"{seen}, far above {healthy:g}: the policy has left the model it "
                    "started from and its text often breaks. Look at samples/, go back to an "
                    "earlier checkpoint with --resume, and raise --kl_coef or lower --lr.",
                    value)  # fmt: skip
    return Sign("above", f"{seen}, above {healthy:g}: the policy drifts from the model it started "
                "from. Raise --kl_coef, lower --lr, or set --target_kl; leave it where the "
                "reward and samples/ are what you want.", value)  # fmt: skip


def _below(value: float, when: str) -> Sign:
    return Sign("below", f"KL to the reference is {value:.2g} per token (median of {when}), below "
                f"{KL_LOW:g}, and the reward has not risen: the policy hardly changes. Raise --lr "
                "or lower --kl_coef.", value)  # fmt: skip


def entropy(series: Series) -> Sign | None:
    """Not when the task is solved: then there is nothing left to explore."""
    now, earlier = series.now(ENTROPY, ENTROPY_STEPS), series.last(ENTROPY, 2 * ENTROPY_STEPS)
    if now is None or not earlier or series.steps < ENTROPY_WARMUP:
        return None
    start = series.start(ENTROPY, ENTROPY_STEPS)
    falling = now < sorted(earlier[:ENTROPY_STEPS])[ENTROPY_STEPS // 2]
    if now >= ENTROPY_SHARE * start or not falling or series.is_solved(ENTROPY_STEPS):
        return None
    text = (f"entropy fell to {now:.3g} from {start:.3g} at the start (median of "
            f"{steps(series.begin(ENTROPY, ENTROPY_STEPS), series.step)}): the policy gives one "
            "answer and explores no more. Set --entropy_coef 0.01, raise --kl_coef, or lower "
            "--lr.")  # fmt: skip
    return Sign("collapse", text, now)


def value_loss(series: Series) -> Sign | None:
    """A critic whose loss does not fall and that explains nothing. Both together, for either alone
    is common in healthy runs: the loss of a good critic is flat, and returns that nobody can
    predict leave little to explain in the first steps."""
    loss, explained = series.now(VALUE_LOSS, LOSS_STEPS), series.now(EXPLAINED, EXPLAINED_STEPS)
    if loss is None or explained is None or series.steps < CRITIC_WARMUP:
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
