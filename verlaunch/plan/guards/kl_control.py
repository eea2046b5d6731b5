"""What does not go together in the KL's control and the advantages.

    [finding.text for finding in check(scene)]
    ->  ["--target_kl 6.0 moves kl_coef by a factor, and kl_coef is 0. Use --kl_coef 0.1."]

Keys are those of verl and those of the trainer's own (config/trainer_extras.py). Left out on
purpose: what a setting means and whether it is wise; the flags' help and a recipe's header say so.
"""

from collections.abc import Iterator
from typing import Any

from verlaunch.config.tree import ACTOR, ROLLOUT, Config, get
from verlaunch.errors import Finding
from verlaunch.plan.guards.scene import Scene
from verlaunch.text import plural

TYPE, TARGET = "algorithm.kl_ctrl.type", "algorithm.kl_ctrl.target_kl"
HORIZON = "algorithm.kl_ctrl.horizon"
LARGEST_ERROR = 0.2  # of the KL, relative to its target, in one step (arXiv 1909.08593)


def check(scene: Scene) -> Iterator[Finding]:
    return map(Finding, filter(None, (_target(scene.config), _whitening(scene.config))))


def _target(config: Config) -> str:
    verl = config.verl
    kind, target = get(verl, TYPE), get(verl, TARGET)
    if kind == "adaptive" and target is None:
        return f"{TYPE}=adaptive needs a target. Use --target_kl 6.0, in nats per response."
    if target is None and config.given & {HORIZON}:
        return (
            f"--kl_horizon {get(verl, HORIZON)} says how slowly --target_kl moves kl_coef, and "
            "there is no target. Use --target_kl 6.0 with it, or leave it out."
        )
    if target is None:
        return ""
    if kind != "adaptive":
        return f"{TYPE}={kind} excludes --target_kl {target}. Leave one of them out."
    if target <= 0:
        return f"{TARGET}={target}: takes a number above 0, in nats per response."
    if get(verl, f"{ACTOR}.use_kl_loss"):
        return (
            f"--target_kl {target} is for the KL in the reward, and {ACTOR}.use_kl_loss=true puts "
            "it into the loss. Leave one of them out."
        )
    if not get(verl, "algorithm.kl_ctrl.kl_coef"):
        return (
            f"--target_kl {target} moves kl_coef by a factor, and kl_coef is 0. Use --kl_coef 0.1."
        )
    if not get(verl, "algorithm.use_kl_in_reward"):
        return (
            f"--target_kl {target} moves the weight of the KL in the reward, and "
            "algorithm.use_kl_in_reward=false takes it out. Leave one of them out."
        )
    return _horizon(verl)


def _horizon(verl: dict[str, Any]) -> str:
    """A step may take a share of the coefficient away, never all of it."""
    horizon = get(verl, HORIZON)
    responses = get(verl, "data.train_batch_size") * get(verl, f"{ROLLOUT}.n")
    if horizon > LARGEST_ERROR * responses:
        return ""
    return (
        f"--kl_horizon {horizon} is so short that one step of {plural(responses, 'response')} can "
        f"turn kl_coef to 0 or below. Use --kl_horizon {responses} or more."
    )


def _whitening(config: Config) -> str:
    estimator = get(config.verl, "algorithm.adv_estimator")
    if config.launch["whiten_advantages"] or estimator == "gae":
        return ""
    return (
        f"--whiten_advantages off is for --adv_estimator gae; {estimator} has a scale of its own. "
        "Leave one of them out."
    )
