"""What does not go together in the optimizer, the number of steps and the algorithm.

    [finding.text for finding in check(scene)]
    ->  ["trainer.critic_warmup=100, and the run has 20 steps: the policy is never ..."]

Left out on purpose: the KL controller (kl_control.py), and whether a setting is wise.
"""

import importlib.util
from collections.abc import Iterator
from typing import Any

from verlaunch.config.keys import yaml_word
from verlaunch.config.tree import ACTOR, ROLLOUT, get, uses_critic, uses_reference
from verlaunch.config.values import closest
from verlaunch.errors import Finding
from verlaunch.plan.guards.scene import Scene
from verlaunch.plan.guards.values_taken import of_their_kind, said
from verlaunch.text import plural

# Optimizers of torch.optim that take what verl hands them (workers/config/optimizer.py:229).
OPTIMIZERS = ("AdamW", "Adam", "Adamax", "NAdam", "RAdam", "SGD", "RMSprop", "Adagrad", "Adadelta",
              "Adafactor", "ASGD")  # fmt: skip
# verl's own recipes filter by these; none is among what our rewards tell (replay_buffer.py:299).
OLD_METRICS = ("acc", "seq_reward", "seq_final_reward")


def check(scene: Scene) -> Iterator[Finding]:
    if not of_their_kind(scene.config):
        return
    yield from _optimizer(scene)
    yield from _steps(scene)
    yield from _algorithm(scene)
    yield from _filtered(scene)
    yield from _idle(scene)


def _optimizer(scene: Scene) -> Iterator[Finding]:
    verl, total = scene.config.verl, get(scene.config.verl, "trainer.total_training_steps")
    for role in [ACTOR, "critic"] if uses_critic(verl) else [ACTOR]:
        optim = get(verl, f"{role}.optim")
        betas = optim.get("betas")
        good = isinstance(betas, list) and len(betas) == 2
        if not good or not all(isinstance(b, int | float) and 0 <= b < 1 for b in betas):
            yield Finding(
                f"{role}.optim.betas={yaml_word(betas)}: takes two numbers of at least 0 and below "
                f"1, as in {role}.optim.betas=[0.9,0.999]."
            )
        yield from _named(f"{role}.optim", optim)
        yield from _warmup(f"{role}.optim", optim, total)


def _warmup(key: str, optim: dict[str, Any], total: int) -> Iterator[Finding]:
    """Steps, else a share of the run (transformer_impl.py:503). The first has a rate of 0."""
    steps, share = optim.get("lr_warmup_steps") or 0, optim.get("lr_warmup_steps_ratio") or 0
    said, less = f"lr_warmup_steps={steps}", "fewer"
    if steps <= 0:
        steps, said, less = int(share * total), f"lr_warmup_steps_ratio={share}", "less"
    if 0 < total <= steps:
        yield Finding(
            f"{key}.{said}, and the run has {plural(total, 'step')}: the learning rate "
            f"{optim['lr']} is never reached. Use {less}, or --steps more.",
            stops=False,
        )


def _named(key: str, optim: dict[str, Any]) -> Iterator[Finding]:
    where, name = str(optim.get("optimizer_impl")), str(optim.get("optimizer"))
    if where == "torch.optim" and name not in OPTIMIZERS:
        yield Finding(f"{key}.optimizer={name}: takes one of {', '.join(OPTIMIZERS)}.{_near(name)}")
    elif importlib.util.find_spec(where.split(".")[0]) is None:
        yield Finding(
            f"{key}.optimizer_impl={where}: there is no such module in this environment. Install "
            "its package, or leave it out."
        )


def _near(name: str) -> str:
    """AdamW for Adamw, before Adam."""
    same = [known for known in OPTIMIZERS if known.lower() == name.lower()]
    return f" Did you mean {same[0]}?" if same else closest(name, OPTIMIZERS)


def _steps(scene: Scene) -> Iterator[Finding]:
    trainer = scene.config.verl["trainer"]
    total, warmup = trainer["total_training_steps"], trainer["critic_warmup"]
    if warmup > total:
        yield Finding(
            f"trainer.critic_warmup={warmup}, and the run has {plural(total, 'step')}: the policy "
            f"is never trained, only the critic. To train it, use trainer.critic_warmup="
            f"{max(1, total // 10)}, or --steps {warmup + total}.",
            stops=False,  # a critic may be wanted before all else (arXiv 2503.01491)
        )
    if trainer["val_only"] and not trainer["val_before_train"]:
        yield Finding(
            "trainer.val_only=true validates before training, and trainer.val_before_train=false "
            "takes that away: it would train. Leave one of them out."
        )


def _algorithm(scene: Scene) -> Iterator[Finding]:
    verl = scene.config.verl
    estimator = get(verl, "algorithm.adv_estimator")
    if estimator == "gae" and not uses_critic(verl):
        yield Finding(
            "critic.enable=false, and --adv_estimator gae needs its values. Leave it out, or use "
            "--adv_estimator reinforce_plus_plus."
        )
    mode, beta = f"{ACTOR}.policy_loss.loss_mode", f"{ACTOR}.policy_loss.dro_beta"
    number = get(verl, beta)
    if get(verl, mode) == "dro" and not (isinstance(number, int | float) and number > 0):
        yield Finding(f"{mode}=dro needs a number above 0 beside it. Add {beta}=0.1.")
    groups = get(verl, "algorithm.filter_groups") or {}
    if groups.get("enable") and not groups.get("metric"):
        yield Finding(
            "algorithm.filter_groups.enable=true needs the number to filter by. Add "
            "algorithm.filter_groups.metric=reward."
        )
    elif groups.get("enable") and groups.get("metric") in OLD_METRICS:
        yield Finding(
            f"{said(verl, 'algorithm.filter_groups.metric')} ends the run at its first step unless "
            "the reward tells a number of that name. Use algorithm.filter_groups.metric=reward.",
            stops=False,
        )


def _filtered(scene: Scene) -> Iterator[Finding]:
    """Tokens that vLLM draws from a part of the policy, and training takes for draws from all."""
    verl, bypass = scene.config.verl, "algorithm.rollout_correction.bypass_mode"
    top_p, top_k = f"{ROLLOUT}.top_p", f"{ROLLOUT}.top_k"
    is_whole = (get(verl, top_p) or 1) >= 1 and (get(verl, top_k) or -1) < 1
    if is_whole:
        return
    typed = said(verl, top_p if (get(verl, top_p) or 1) < 1 else top_k)
    text = (
        f"{typed}: responses are drawn from the likeliest tokens alone, and training computes with "
        f"probabilities of all. Leave it out; for validation use {ROLLOUT}.val_kwargs."
    )
    if get(verl, bypass):
        yield Finding(f"{text} With {bypass}=true every ratio would be wrong.")
    else:
        yield Finding(text, stops=False)


def _idle(scene: Scene) -> Iterator[Finding]:
    """Settings that were typed and that nothing reads in this run."""
    verl = scene.config.verl
    coefficient = f"{ACTOR}.kl_loss_coef"
    if coefficient in scene.config.given and not get(verl, f"{ACTOR}.use_kl_loss"):
        yield Finding(
            f"{said(verl, coefficient)} does nothing: the loss has no KL. Add "
            f"{ACTOR}.use_kl_loss=true, or use --kl_coef for the KL in the reward.",
            stops=False,
        )
    if not uses_reference(verl) and {"algorithm.kl_penalty"} & scene.config.given:
        yield Finding(
            "algorithm.kl_penalty does nothing: the reward has no KL. Use --kl_coef 0.001 with it.",
            stops=False,
        )
