"""Sizes of the batch chain that verl would refuse, pad or hang on, each with the nearest that work.

    [finding.text for finding in refused(batch, 4096)]
    ->  ["--mini_batch_size 48 does not divide --batch_size 64. Use --mini_batch_size 32 or 64."]

A batch that does not divide is padded silently by verl; here it stops. Of prompts, mini batches and
micro batches the first that is wrong is told: mending it changes the others.
"""

from collections.abc import Iterator
from math import gcd

from verlaunch.config.batch import (
    CRITIC_MICRO,
    CRITIC_MINI,
    LOG_PROB_MICRO,
    Batch,
    divisors,
    step_of,
)
from verlaunch.config.tree import get
from verlaunch.errors import Finding
from verlaunch.plan.guards.scene import Scene
from verlaunch.plan.sizes import batch_of
from verlaunch.text import nearest, plural

# They divide by the deviation over the tokens of the batch (core_algos.py:262,466,728), which is a
# ValueError for one token.
WHITENING = ("gae", "reinforce_plus_plus", "reinforce_plus_plus_baseline")


def check(scene: Scene) -> list[Finding]:
    verl = scene.config.verl
    batch, estimator = batch_of(verl), get(verl, "algorithm.adv_estimator")
    return refused(batch, scene.rows) or list(_one_token(batch, estimator))


def _one_token(batch: Batch, estimator: str) -> Iterator[Finding]:
    if batch.sequences == 1 and estimator in WHITENING:
        yield Finding(
            f"--batch_size 1 is one response per step, which may be one token, and {estimator} "
            "scales advantages by their spread over the tokens. Use --batch_size 2."
        )


def refused(batch: Batch, rows: int | None) -> list[Finding]:
    """rows: training prompts, None when not counted yet."""
    return list(_prompts(batch, rows)) or list(_minis(batch)) or list(_micros(batch))


def _prompts(batch: Batch, rows: int | None) -> Iterator[Finding]:
    step, size = step_of(batch.ranks, batch.n), batch.prompts_per_step
    if rows is not None and rows < step:
        yield Finding(
            f"{plural(rows, 'training prompt')}, but a step on {plural(batch.ranks, 'rank')} takes "
            f"at least {step}. Give more data, a smaller --n_gpus, or a smaller --val_size."
        )
    elif rows is not None and rows < size:
        yield Finding(
            f"--batch_size {size} is larger than the {plural(rows, 'training prompt')}. "
            f"Use --batch_size {rows // step * step}, or give more data."
        )
    elif size % step:
        most = size + step if rows is None else rows
        near = nearest(size, range(step, most + 1, step))
        yield Finding(
            f"--batch_size {size} x --rollout_n {batch.n} responses do not divide among "
            f"{batch.ranks} ranks. Use --batch_size {near}."
        )


def _minis(batch: Batch) -> Iterator[Finding]:
    step, size = step_of(batch.ranks, batch.n), batch.prompts_per_step
    near = divisors(size, step)
    for name, mini in (("--mini_batch_size ", batch.mini), (f"{CRITIC_MINI}=", batch.critic_mini)):
        if mini is None or (name != "--mini_batch_size " and mini == batch.mini):
            continue  # the critic follows the actor
        use = f"Use {name}{nearest(mini, near)}."
        if size % mini:
            yield Finding(f"{name}{mini} does not divide --batch_size {size}. {use}")
        elif mini % step:
            yield Finding(
                f"{name}{mini} x --rollout_n {batch.n} responses do not divide among "
                f"{batch.ranks} ranks. {use}"
            )


def _micros(batch: Batch) -> Iterator[Finding]:
    """The updates cut a mini batch, the log-probabilities cut everything that a rank has.

    Keys of one size mostly follow the first: they get one sentence together.
    """
    for micro in dict.fromkeys(size for _, size in batch.micro):
        per_rank = {key: _sequences_of(batch, key) for key, size in batch.micro if size == micro}
        wrong = [key for key, sequences in per_rank.items() if sequences % micro]
        if wrong:
            fitting = divisors(gcd(*per_rank.values()))
            yield Finding(
                f"{wrong[0]}={micro} does not divide the {per_rank[wrong[0]]} sequences that a "
                f"rank gets. Use {nearest(micro, fitting)}."
            )


def _sequences_of(batch: Batch, key: str) -> int:
    """What a rank cuts into micro batches of this key."""
    mini = batch.critic_mini if key == CRITIC_MICRO else batch.mini
    prompts = batch.prompts_per_step if key.endswith(LOG_PROB_MICRO) else mini or batch.mini
    return prompts * batch.n // batch.ranks
