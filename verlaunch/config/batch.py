"""The batch chain: how prompts become optimizer steps, and which sizes verl can take.

    prompts x n -> per rank -> mini batches -> micro batches, each PPO epoch

    128 prompts x 1 response = 128 sequences; 2 mini batches of 64 (one optimizer step each);
    1 PPO epoch = 2 optimizer steps per training step

verl counts mini batches in prompts and multiplies by n (trainer/ppo/v1/trainer_base.py:1806), then
divides by the ranks (workers/engine_workers.py:267) and by the micro batch
(workers/engine/utils.py:125). A batch that does not divide is padded silently; here it is refused.
"""

from dataclasses import dataclass
from math import gcd

from verlaunch.text import nearest, plural

MICRO = "ppo_micro_batch_size_per_gpu"
LOG_PROB_MICRO = "log_prob_micro_batch_size_per_gpu"
ACTOR_MICRO = f"actor_rollout_ref.actor.{MICRO}"
CRITIC_MICRO = f"critic.{MICRO}"
ROLLOUT_MICRO = f"actor_rollout_ref.rollout.{LOG_PROB_MICRO}"
REF_MICRO = f"actor_rollout_ref.ref.{LOG_PROB_MICRO}"
CRITIC_MINI = "critic.ppo_mini_batch_size"


@dataclass(frozen=True)
class Batch:
    """Sizes of one training step. Prompts: prompts_per_step, mini, critic_mini. Sequences: micro.

    critic_mini: None without a critic. micro: by verl's key; empty when batches are packed by
    tokens.
    """

    prompts_per_step: int
    n: int
    mini: int
    ranks: int
    ppo_epochs: int
    critic_mini: int | None = None
    micro: tuple[tuple[str, int], ...] = ()

    @property
    def sequences(self) -> int:
        return self.prompts_per_step * self.n

    @property
    def updates(self) -> int:
        """Optimizer steps of the actor per training step."""
        return self.ppo_epochs * max(1, self.prompts_per_step // self.mini)

    def __str__(self) -> str:
        on = f" on {self.ranks} ranks" if self.ranks > 1 else ""
        micro = dict(self.micro).get(ACTOR_MICRO)
        packing = f"micro batches of {micro}" if micro else "packed by tokens"
        minis = max(1, self.prompts_per_step // self.mini)
        return (
            f"{plural(self.prompts_per_step, 'prompt')} x {plural(self.n, 'response')}{on}; "
            f"{plural(minis, 'mini batch', 'mini batches')} of {plural(self.mini, 'prompt')}, "
            f"{packing}; {plural(self.ppo_epochs, 'PPO epoch')}: "
            f"{plural(self.updates, 'optimizer step')} per step"
        )


def _divisors(number: int, multiple_of: int = 1) -> list[int]:
    return [d for d in range(multiple_of, number + 1, multiple_of) if number % d == 0]


def _step_of(ranks: int, n: int) -> int:
    """Prompts come in steps of this many, so that their responses divide among the ranks."""
    return next(k for k in range(1, ranks + 1) if k * n % ranks == 0)


def _size_problems(batch: Batch, rows: int | None) -> list[str]:
    step, size = _step_of(batch.ranks, batch.n), batch.prompts_per_step
    if rows is not None and rows < step:
        return [
            f"{plural(rows, 'training prompt')}, but a step on {plural(batch.ranks, 'rank')} takes "
            f"at least {step}. Give more data, a smaller --n_gpus, or a smaller --val_size."
        ]
    if rows is not None and rows < size:
        return [
            f"--batch_size {size} is larger than the {plural(rows, 'training prompt')}. "
            f"Use --batch_size {rows // step * step}, or give more data."
        ]
    if size % step:
        most = size + step if rows is None else rows
        near = nearest(size, range(step, most + 1, step))
        return [
            f"--batch_size {size} x --rollout_n {batch.n} responses do not divide among "
            f"{batch.ranks} ranks. Use --batch_size {near}."
        ]
    return []


def _mini_problems(batch: Batch) -> list[str]:
    step, size = _step_of(batch.ranks, batch.n), batch.prompts_per_step
    near = _divisors(size, step)
    found = []
    for name, mini in (("--mini_batch_size ", batch.mini), (f"{CRITIC_MINI}=", batch.critic_mini)):
        if mini is None or (name != "--mini_batch_size " and mini == batch.mini):
            continue  # the critic follows the actor
        use = f"Use {name}{nearest(mini, near)}."
        if size % mini:
            found.append(f"{name}{mini} does not divide --batch_size {size}. {use}")
        elif mini % step:
            found.append(
                f"{name}{mini} x --rollout_n {batch.n} responses do not divide among "
                f"{batch.ranks} ranks. {use}"
            )
    return found


def _micro_problems(batch: Batch) -> list[str]:
    """The updates cut a mini batch, the log-probabilities cut everything that a rank has.

    Keys of one size mostly follow the first: they get one sentence together.
    """
    found = []
    for micro in dict.fromkeys(size for _, size in batch.micro):
        per_rank = {key: _sequences_of(batch, key) for key, size in batch.micro if size == micro}
        wrong = [key for key, sequences in per_rank.items() if sequences % micro]
        if wrong:
            fitting = _divisors(gcd(*per_rank.values()))
            found.append(
                f"{wrong[0]}={micro} does not divide the {per_rank[wrong[0]]} sequences that a "
                f"rank gets. Use {nearest(micro, fitting)}."
            )
    return found


def _sequences_of(batch: Batch, key: str) -> int:
    """What a rank cuts into micro batches of this key."""
    mini = batch.critic_mini if key == CRITIC_MICRO else batch.mini
    prompts = batch.prompts_per_step if key.endswith(LOG_PROB_MICRO) else mini or batch.mini
    return prompts * batch.n // batch.ranks


def problems(batch: Batch, rows: int | None = None) -> list[str]:
    """Every size that verl would refuse, pad or hang on, each with the nearest that work.

    rows: training prompts, None when not counted yet.
    """
    return _size_problems(batch, rows) or _mini_problems(batch) or _micro_problems(batch)


def default_mini(prompts: int, n: int, ranks: int, wanted: int) -> int:
    """The largest mini batch up to `wanted` prompts that the chain takes."""
    step = _step_of(ranks, n)
    fitting = [d for d in _divisors(prompts, step) if d <= max(wanted, step)]
    return fitting[-1] if fitting else prompts
