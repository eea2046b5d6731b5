"""Scenes for the guards of model and configuration: what flags make of a model on a made machine.

    told(engine, scene_of(model, "--n_gpus", "4", hardware="gpu"))  ->  ["STOP ...", "WARN ..."]

A configuration is composed once for each set of flags (0.3 s); key=value words are then put into a
copy, after the sizes are worked out.
"""

import dataclasses
import functools
from copy import deepcopy
from pathlib import Path
from types import ModuleType

from verlaunch.config import overrides
from verlaunch.config.compose import compose, fill
from verlaunch.config.derive import Facts, derive
from verlaunch.config.flags import parse
from verlaunch.config.tree import Config, get, put, ranks, uses_critic
from verlaunch.inputs import models
from verlaunch.inputs.demo.sizes import CONFIG
from verlaunch.inputs.models import Model
from verlaunch.machine.hardware import Gpu, Machine
from verlaunch.machine.host import Host
from verlaunch.plan.guards.scene import Scene
from verlaunch.plan.memory.shape import Linear, Shape

HOST = Host(2**36, 2**20, None, 64.0, True)
DEMO = Model("demo", "Qwen2ForCausalLM", 260, 256, None, heads=4, config=CONFIG)
ATTENTION, MLP = ("q_proj", "k_proj", "v_proj", "o_proj"), ("gate_proj", "up_proj", "down_proj")
SHAPE = Shape(
    "demo", 360_000, 33_280, 0, 2, 128, 256, 260, 4, 4, 32,
    (*(Linear(name, 128, 128, 2) for name in ATTENTION),
     *(Linear(name, 128, 256, 2) for name in MLP)),
    360_000,
)  # fmt: skip


@functools.cache
def config_of(flags: tuple[str, ...], hardware: str) -> Config:
    """1000 rows, 64 GB."""
    short = ["--max_prompt_length", "64", "--max_response_length", "64"]
    config = compose(parse([*short, *flags], {}), hardware)
    facts = Facts(hardware, 8, 64.0, 1000, 260, "the model", "run", "/tmp/checkpoints")
    return fill(config, derive(config.verl, facts))


def _with(config: Config, words: list[str]) -> Config:
    verl, links, given = deepcopy(config.verl), deepcopy(config.links), set(config.given)
    for word in map(overrides.read, words):
        put(verl, word.key, word.value)
        put(links, word.key, word.value)
        given.add(word.key)
    return dataclasses.replace(config, verl=verl, links=links, given=frozenset(given))


def scene_of(model: Path | Model, *words: str, hardware: str = "cpu") -> Scene:
    """On "gpu" as many cards of 80 GB as ranks."""
    seen = models.look(str(model)) if isinstance(model, Path) else model
    typed = [word for word in words if "=" in word]
    flags = tuple(word for word in words if "=" not in word)
    return scene(_with(config_of(flags, hardware), typed), seen)


def scene(config: Config, model: Model) -> Scene:
    on_gpus = config.hardware == "gpu"
    cards = tuple(Gpu("NVIDIA Test", 80.0) for _ in range(ranks(config.verl) * on_gpus))
    machine, run = Machine(8, 64.0, cards), Path("/tmp/run")
    own = get(config.verl, "critic.model.path") if uses_critic(config.verl) else None
    named = own if own != get(config.verl, "actor_rollout_ref.model.path") else None
    critic = models.look(named, "--critic_model") if named else None
    return Scene(config, model, machine, HOST, run, 1, 2**28, {}, critic, SHAPE)


def told(guards: ModuleType | tuple[ModuleType, ...], scene: Scene) -> list[str]:
    asked = guards if isinstance(guards, tuple) else (guards,)
    found = [finding for guard in asked for finding in guard.check(scene)]
    return [f"{'STOP' if f.stops else 'WARN'} {f.text}" for f in found]
