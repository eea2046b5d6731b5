"""A composed configuration as plain data, and the questions that every room asks of it.

    get(config.verl, "actor_rollout_ref.rollout.n")   ->  1
    ranks(config.verl)                                ->  2

Left out on purpose: how it comes about (compose.py), and numbers worked out (derive.py).
"""

from dataclasses import dataclass, field
from typing import Any

Tree = dict[str, Any]

OURS = "verlaunch."  # keys of our own
ACTOR = "actor_rollout_ref.actor"
STOP_IDS = "actor_rollout_ref.rollout.custom.stop_token_ids"  # verl keeps `custom` for such as us
ROLLOUT = "actor_rollout_ref.rollout"
REF = "actor_rollout_ref.ref"


@dataclass(frozen=True)
class Config:
    verl: Tree  # resolved; null where a number is still to be worked out
    launch: Tree  # the `verlaunch:` node
    verl_defaults: Tree  # verl's own tree, for showing what differs
    given: frozenset[str]  # dotted keys set by flags, variables or overrides
    recipe_keys: frozenset[str]
    hardware: str
    recipe: str
    notes: tuple[str, ...] = ()  # sentences for the screen
    # the same, keys that follow others as ${}
    links: Tree = field(default_factory=dict, repr=False)
    # the same as OmegaConf's nodes, pickled: making them anew takes five times as long
    nodes: bytes = field(default=b"", repr=False, compare=False)


def get(tree: Tree, key: str) -> Any:
    """The value at a dotted key, None where the path ends early."""
    for part in key.split("."):
        if not isinstance(tree, dict) or part not in tree:
            return None
        tree = tree[part]
    return tree


def put(tree: Tree, key: str, value: Any) -> None:
    *path, last = key.split(".")
    for part in path:
        if tree.get(part) is None:  # typed as null, too
            tree[part] = {}
        tree = tree[part]
    tree[last] = value


def ranks(tree: Tree) -> int:
    return get(tree, "trainer.n_gpus_per_node") * get(tree, "trainer.nnodes")


def ranks_here(tree: Tree) -> int:
    """Of each machine."""
    return int(get(tree, "trainer.n_gpus_per_node"))


def sequence_length(tree: Tree) -> int:
    return get(tree, "data.max_prompt_length") + get(tree, "data.max_response_length")


def uses_critic(verl: dict[str, Any]) -> bool:
    enabled = get(verl, "critic.enable")
    return enabled if enabled is not None else get(verl, "algorithm.adv_estimator") == "gae"


def uses_reference(verl: dict[str, Any]) -> bool:
    return bool(get(verl, "algorithm.use_kl_in_reward") or get(verl, f"{ACTOR}.use_kl_loss"))


def reference_in_actor(verl: dict[str, Any]) -> bool:
    """With LoRA it is the actor without its adapter (verl/trainer/ppo/v1/trainer_base.py:237)."""
    model = get(verl, "actor_rollout_ref.model")
    return bool(model.get("lora_rank") or model.get("lora_adapter_path"))
