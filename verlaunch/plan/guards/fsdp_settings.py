"""What the training engine cannot do with a configuration, or on this hardware.

    [finding.text for finding in check(scene)]
    ->  ["actor_rollout_ref.actor.strategy=fsdp: FSDP1 cannot run on the CPU. Leave it out: ..."]

Left out on purpose: single values (values_taken.py), and what vLLM says (vllm_arguments.py).
"""

import importlib.util
from collections.abc import Iterator
from typing import Any

from verlaunch.config.tree import ACTOR, ROLLOUT, get, ranks, uses_critic
from verlaunch.config.values import closest
from verlaunch.errors import Finding
from verlaunch.plan.guards.scene import Scene
from verlaunch.plan.guards.values_taken import follows, of_their_kind, said
from verlaunch.text import nearest

MODEL = "actor_rollout_ref.model"
ENGINES = {ACTOR: "fsdp_config", "critic": "fsdp"}
NEEDED = ("model", "optimizer", "extra")  # of a checkpoint, to continue from it
MORE = ("hf_model",)
WEIGHTS = "model"


def check(scene: Scene) -> Iterator[Finding]:
    if not of_their_kind(scene.config):
        return
    yield from _device(scene)
    yield from _fsdp(scene)
    yield from _sequence(scene)
    yield from _kernels(scene)
    yield from _checkpoint(scene)


def _trained(scene: Scene) -> list[str]:
    return [ACTOR, "critic"] if uses_critic(scene.config.verl) else [ACTOR]


def _device(scene: Scene) -> Iterator[Finding]:
    """trainer.device picks nothing: the platform does, which --hardware chooses."""
    verl, hardware = scene.config.verl, scene.config.hardware
    device = "cpu" if hardware == "cpu" else "cuda"
    if get(verl, "trainer.device") != device:
        yield Finding(
            f"{said(verl, 'trainer.device')} contradicts --hardware {hardware}, which decides. "
            f"Leave it out, or use --hardware {'gpu' if hardware == 'cpu' else 'cpu'}."
        )
    if hardware != "cpu":
        return
    for key in (f"{ROLLOUT}.free_cache_engine", f"{ROLLOUT}.enable_sleep_mode"):
        if get(verl, key):
            yield Finding(f"{key}=true: vLLM cannot sleep on the CPU. Leave it out.")
    for key in (f"{MODEL}.enable_activation_offload", "critic.model.enable_activation_offload"):
        if get(verl, key):
            yield Finding(f"{key}=true moves activations off a GPU; there is none. Leave it out.")


def _fsdp(scene: Scene) -> Iterator[Finding]:
    verl, world = scene.config.verl, ranks(scene.config.verl)
    for role in _trained(scene):
        key = f"{role}.{ENGINES[role]}"
        if scene.config.hardware == "cpu" and get(verl, f"{role}.strategy") == "fsdp":
            yield Finding(
                f"{role}.strategy=fsdp: FSDP1 cannot run on the CPU. Leave it out: fsdp2 does."
            )
        if scene.config.hardware == "cpu" and get(verl, f"{key}.offload_policy"):
            yield Finding(
                f"{key}.offload_policy=true pins memory, which needs CUDA, and on the CPU the "
                "weights are in main memory already. Leave it out."
            )
        size = get(verl, f"{key}.fsdp_size")
        if not isinstance(size, int) or size == 0 or (0 < size < world and world % size):
            fits = nearest(size or 1, [d for d in range(1, world + 1) if world % d == 0])
            yield Finding(
                f"{said(verl, f'{key}.fsdp_size')} must divide the {world} ranks, or be -1 for "
                f"all of them. Use {key}.fsdp_size={fits}."
            )
        yield from _rounding(verl, role, f"{key}.model_dtype")


def _rounding(verl: dict[str, Any], role: str, key: str) -> Iterator[Finding]:
    """bf16 keeps 8 bits: an update of less than 1/256 of a weight is rounded away."""
    rate = get(verl, f"{role}.optim.lr") or 0
    if get(verl, key) in ("bf16", "bfloat16", "fp16", "float16") and rate < 1e-4:
        yield Finding(
            f"{said(verl, key)} keeps the weights that are updated in 16 bits, and a learning "
            f"rate of {rate} is mostly rounded away there. Leave it out: weights are fp32, "
            "computing is in bf16 anyway.",
            stops=False,
        )


def _sequence(scene: Scene) -> Iterator[Finding]:
    """Ulysses: each of SP ranks has a part of every sequence."""
    verl, world = scene.config.verl, ranks(scene.config.verl)
    places = {ACTOR: MODEL, "critic": "critic.model"}
    for role in _trained(scene):
        keys = (f"{role}.ulysses_sequence_parallel_size",
                f"{role}.{ENGINES[role]}.ulysses_sequence_parallel_size")  # fmt: skip
        key = max(keys, key=lambda key: get(verl, key) or 1)
        size = get(verl, key) or 1
        if size > 1:
            yield from _ulysses(scene, key, size, f"{places[role]}.use_remove_padding", world)


def _kernels(scene: Scene) -> Iterator[Finding]:
    verl = scene.config.verl
    if get(verl, f"{MODEL}.use_liger") and importlib.util.find_spec("liger_kernel") is None:
        yield Finding(
            f"{MODEL}.use_liger=true needs the package liger-kernel, which is not installed. "
            "Install it, or leave this out."
        )
    for key in (f"{MODEL}.use_remove_padding", "critic.model.use_remove_padding"):
        if get(verl, key) and importlib.util.find_spec("flash_attn") is None:
            yield Finding(
                f"{key}=true without the package flash-attn: sequences in one row are then kept "
                "apart by their positions alone, which is not tested. Leave it out.",
                stops=False,
            )


def _ulysses(scene: Scene, key: str, size: int, padding: str, world: int) -> Iterator[Finding]:
    heads, said = scene.model.heads, f"{key}={size}"
    if scene.config.hardware == "cpu":
        yield Finding(f"{said} splits sequences in flash-attn only, on GPUs. Leave it out.")
    elif world % size or (heads and heads % size):
        of = f" and the {heads} attention heads of {scene.model.name}" if heads else ""
        yield Finding(f"{said} must divide the {world} ranks{of}. Use {key}=1.")
    elif not get(scene.config.verl, padding):
        yield Finding(f"{said} works on sequences without padding only. Add {padding}=true.")
    elif importlib.util.find_spec("flash_attn") is None:
        yield Finding(
            f"{said} splits sequences in flash-attn only, and the package flash-attn is not "
            "installed. Install it, or leave this out."
        )


def _checkpoint(scene: Scene) -> Iterator[Finding]:
    for role in _trained(scene):
        for name in ("save_contents", "load_contents"):
            key = f"{role}.checkpoint.{name}"
            if not follows(scene.config, key):
                yield from _contents(scene.config.verl, key)


def _contents(verl: dict[str, Any], key: str) -> Iterator[Finding]:
    value = get(verl, key)
    found = value if isinstance(value, list) else [value]
    strange = [str(word) for word in found if word not in NEEDED + MORE]
    if strange:
        yield Finding(
            f"{said(verl, key)}: {strange[0]} is none of {', '.join(NEEDED + MORE)}."
            f"{closest(strange[0], NEEDED + MORE)}"
        )
    elif missing := [word for word in NEEDED if word not in found]:
        yield Finding(
            f"{said(verl, key)} lacks {', '.join(missing)}, without which a run cannot continue "
            f"as it was. Use {key}=[{','.join([*NEEDED, *(w for w in found if w in MORE)])}].",
            stops=WEIGHTS in missing,  # the next start would go on from the first weights
        )
