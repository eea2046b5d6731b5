"""Which models a configuration has beside the policy.

uses_critic(config.verl)   ->  True: the estimator is gae
"""

from typing import Any

from verlaunch.derive import ACTOR, get


def uses_critic(verl: dict[str, Any]) -> bool:
    enabled = get(verl, "critic.enable")
    return enabled if enabled is not None else get(verl, "algorithm.adv_estimator") == "gae"


def uses_reference(verl: dict[str, Any]) -> bool:
    return bool(get(verl, "algorithm.use_kl_in_reward") or get(verl, f"{ACTOR}.use_kl_loss"))


def reference_in_actor(verl: dict[str, Any]) -> bool:
    """With LoRA it is the actor without its adapter (verl/trainer/ppo/v1/trainer_base.py:237)."""
    model = get(verl, "actor_rollout_ref.model")
    return bool(model.get("lora_rank") or model.get("lora_adapter_path"))
