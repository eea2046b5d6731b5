"""A LoRA adapter that would train nothing, the wrong layers, or not start.

    [finding.text for finding in check(scene)]
    ->  ["actor_rollout_ref.model.target_modules names q_projj, and Qwen has no such linear layer.
          Did you mean q_proj?"]

Left out on purpose: which layers are worth an adapter.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from verlaunch.config.tree import ROLLOUT, get, uses_critic
from verlaunch.config.values import closest
from verlaunch.errors import Finding
from verlaunch.inputs import models
from verlaunch.plan.guards.scene import Scene
from verlaunch.plan.guards.values_taken import said
from verlaunch.plan.memory.shape import Shape
from verlaunch.plan.tokenizer_files import json_of

MODEL = "actor_rollout_ref.model"
RANK, TARGETS = f"{MODEL}.lora_rank", f"{MODEL}.target_modules"
EXCLUDED, ADAPTER = f"{MODEL}.exclude_modules", f"{MODEL}.lora_adapter_path"
ALL = "all-linear"  # all but the output layer
# Of what rollouts cannot have (vllm/lora/peft_helper.py): one rank and one alpha serve all layers.
UNSERVED = ("alpha_pattern", "rank_pattern", "modules_to_save", "use_dora")
OUTER = ("lm_head", "embed_tokens", "wte")  # one weight in a tied model, and no layer to vLLM
MERGE = (
    "Merge it into its base model (peft's merge_and_unload), save that with its tokenizer, and "
    "train a new adapter on it: --model MERGED --lora_rank N."
)
ONLY_WITH_RANK = (f"{MODEL}.lora_alpha", TARGETS, EXCLUDED)
# Where linear layers stand in decoders; peft matches an expression against the whole path.
PATHS = ("model.layers.0.self_attn.", "model.layers.0.mlp.", "model.layers.0.")


def check(scene: Scene) -> Iterator[Finding]:
    rank = get(scene.config.verl, RANK) or 0
    yield from _critic(scene)
    if rank < 1:
        yield from _without_rank(scene)
        return
    yield from _adapter(scene, rank)
    yield from _served(scene)
    yield from _summon(scene)
    if scene.shape is not None:
        yield from _targets(scene, scene.shape)
        yield from _size(scene, scene.shape, rank)


def _critic(scene: Scene) -> Iterator[Finding]:
    """verl asks peft for an adapter of a causal model (transformer_impl.py:365), and peft for
    prepare_inputs_for_generation, which a model of values has not."""
    rank = get(scene.config.verl, "critic.model.lora_rank")
    if rank and uses_critic(scene.config.verl):
        yield Finding(
            f"critic.model.lora_rank={rank}: verl's adapters are for models that generate, which "
            "the critic does not: peft would refuse it. Leave it out: the critic trains all its "
            "weights."
        )


def _without_rank(scene: Scene) -> Iterator[Finding]:
    """An adapter that is named is not loaded then, and yet the reference is taken for the policy
    without it (trainer_base.py:236)."""
    adapter = get(scene.config.verl, ADAPTER)
    if adapter:
        rank = _settings(adapter).get("r")
        use = f"--lora_rank {rank}, its own" if rank else "--lora_rank N, the rank that it has"
        yield Finding(f"{ADAPTER}={adapter} is not loaded without a rank. Add {use}.")
        return
    for key in ONLY_WITH_RANK:
        if key in scene.config.given:
            yield Finding(
                f"{said(scene.config.verl, key)} does nothing: all weights are trained. "
                "Add --lora_rank 16, or leave it out.",
                stops=False,
            )


def _settings(adapter: str) -> dict[str, Any]:
    return json_of(Path(adapter).expanduser() / "adapter_config.json")


def _adapter(scene: Scene, rank: int) -> Iterator[Finding]:
    adapter = get(scene.config.verl, ADAPTER)
    if not adapter or not models.is_local(adapter):
        return
    own = _settings(adapter).get("r")
    if own is None:
        yield Finding(
            f"{ADAPTER}={adapter} has no adapter_config.json that tells its rank. Give a folder "
            "that peft has written, or leave it out for a new adapter."
        )
    elif own != rank:
        yield Finding(
            f"{ADAPTER}={adapter} has rank {own}, and vLLM makes room for --lora_rank {rank}. "
            f"Use --lora_rank {own}."
        )


def _served(scene: Scene) -> Iterator[Finding]:
    """What vLLM leaves out, or scales otherwise than training, makes rollouts of another policy."""
    adapter = get(scene.config.verl, ADAPTER)
    own = _settings(adapter) if adapter and models.is_local(adapter) else {}
    if strange := [name for name in UNSERVED if own.get(name)]:
        yield Finding(
            f"{ADAPTER}={adapter} has {', '.join(strange)}, which vLLM does not serve: responses "
            f"would be another policy's than the one that is trained. {MERGE}"
        )
    if own and f"{MODEL}.lora_alpha" in scene.config.given:
        yield Finding(
            f"{said(scene.config.verl, f'{MODEL}.lora_alpha')} counts nowhere: {adapter} keeps its "
            f"own alpha, {own.get('lora_alpha')}. Leave --lora_alpha out.",
            stops=False,
        )
    tied = (scene.model.config.get("text_config") or scene.model.config).get("tie_word_embeddings")
    targets = own.get("target_modules") or get(scene.config.verl, TARGETS)
    named = targets if isinstance(targets, list) else []
    outer = [word for word in named if str(word).rpartition(".")[2] in OUTER]
    if tied and outer:
        yield Finding(
            f"{ADAPTER if own else TARGETS} adapts {', '.join(outer)}, and {scene.model.name} ties "
            "its head to its embeddings: vLLM leaves that out of the responses. "
            + (MERGE if own else f"Leave {' and '.join(outer)} out.")
        )


def _summon(scene: Scene) -> Iterator[Finding]:
    verl = scene.config.verl
    if get(verl, f"{ROLLOUT}.layered_summon") and get(verl, f"{ROLLOUT}.load_format") == "dummy":
        yield Finding(
            f"{ROLLOUT}.layered_summon=true sends the adapter alone, and vLLM starts without the "
            f"model's weights. Add {ROLLOUT}.load_format=safetensors."
        )


def _targets(scene: Scene, shape: Shape) -> Iterator[Finding]:
    targets = get(scene.config.verl, TARGETS)
    names = [linear.name for linear in shape.linears]
    if isinstance(targets, str):
        yield from _expression(targets, names, scene.model.name)
    elif not isinstance(targets, list) or not targets:
        yield Finding(f"{said(scene.config.verl, TARGETS)}: takes {ALL} or a list of layers.")
    else:
        yield from _listed(list(map(str, targets)), names, scene.model.name)


def _listed(targets: list[str], names: list[str], model: str) -> Iterator[Finding]:
    """peft takes a name for the end of a path; it fails only when none of them fits."""
    strange = [word for word in targets if word.rpartition(".")[2] not in names]
    if strange:
        yield Finding(
            f"{TARGETS} names {', '.join(strange)}, and {model} has no such linear layer. It has "
            f"{', '.join(names)}.{closest(strange[0], names)}"
        )


def _expression(target: str, names: list[str], model: str) -> Iterator[Finding]:
    """A word is an expression for the whole path of a layer: q_proj alone fits none."""
    if target == ALL:
        return
    if target in names:
        yield Finding(
            f"{TARGETS}={target} is taken for an expression of a whole path, which fits no layer. "
            f"Use '{TARGETS}=[{target}]'."
        )
    elif near := closest(target.replace("_", "-"), [ALL]):
        yield Finding(f"{TARGETS}={target}: takes {ALL} or a list of layers.{near}")
    elif (why := _broken(target)) is not None:
        yield Finding(f"{TARGETS}={target} is not an expression ({why}). Use {ALL}.")
    elif not any(re.fullmatch(target, f"{path}{name}") for path in PATHS for name in names):
        yield Finding(
            f"{TARGETS}={target} seems to fit no linear layer of {model}, such as "
            f"{PATHS[0]}{names[0]}. Use {ALL}, or '{TARGETS}=[{names[0]}]'.",
            stops=False,
        )


def _broken(expression: str) -> str | None:
    try:
        re.compile(expression)
    except re.error as error:
        return str(error)
    return None


def _size(scene: Scene, shape: Shape, rank: int) -> Iterator[Finding]:
    """An adapter of rank r has r x (inputs + outputs) numbers, the layer inputs x outputs."""
    widest = max((min(linear.inputs, linear.outputs) for linear in shape.linears), default=rank)
    if rank > widest:
        yield Finding(
            f"--lora_rank {rank} is more than the {widest} that any layer of {scene.model.name} "
            f"has: the adapter would be larger than the model. "
            f"Use --lora_rank {max(1, widest // 4)}, or 0 to train all weights.",
            stops=False,
        )
