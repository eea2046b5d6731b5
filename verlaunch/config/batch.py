"""The batch chain: how prompts become optimizer steps.

    prompts x n -> per rank -> mini batches -> micro batches, each PPO epoch

    128 prompts x 1 response = 128 sequences; 2 mini batches of 64 (one optimizer step each);
    1 PPO epoch = 2 optimizer steps per training step

verl counts mini batches in prompts and multiplies by n (trainer/ppo/v1/trainer_base.py:1806), then
divides by the ranks (workers/engine_workers.py:267) and by the micro batch
(workers/engine/utils.py:125). Left out on purpose: which sizes verl can take
(plan/guards/batch_sizes.py).
"""

from dataclasses import dataclass

from verlaunch.text import plural

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


def divisors(number: int, multiple_of: int = 1) -> list[int]:
    return [d for d in range(multiple_of, number + 1, multiple_of) if number % d == 0]


def step_of(ranks: int, n: int) -> int:
    """Prompts come in steps of this many, so that their responses divide among the ranks."""
    return next(k for k in range(1, ranks + 1) if k * n % ranks == 0)


def default_mini(prompts: int, n: int, ranks: int, wanted: int) -> int:
    """The largest mini batch up to `wanted` prompts that the chain takes."""
    step = step_of(ranks, n)
    fitting = [d for d in divisors(prompts, step) if d <= max(wanted, step)]
    return fitting[-1] if fitting else prompts
