"""Values that verl's keys do not take, told before verl says so from inside a Ray actor.

    [finding.text for finding in check(scene)]
    ->  ["actor_rollout_ref.actor.loss_agg_mode=token_mean: takes one of token-mean, ... Did you
          mean token-mean?"]

What is allowed stands in configs/limits.yaml, and in configs/flags.yaml for keys that a flag sets.
Left out on purpose: sizes (typed.py), and what does not go together (fsdp_settings.py).
"""

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from verlaunch.config.flags import load_table
from verlaunch.config.keys import yaml_word
from verlaunch.config.tree import OURS, Config, get
from verlaunch.config.values import Flag, allowed, closest, fits
from verlaunch.errors import Finding
from verlaunch.paths import CONFIGS
from verlaunch.plan.guards.scene import Scene
from verlaunch.plan.guards.typed import SIZES

# Checked elsewhere with more to say, or free: any number of steps that is not positive means that
# nothing is validated.
ELSEWHERE = (*SIZES, "algorithm.kl_ctrl.target_kl", "algorithm.kl_ctrl.horizon",
             "trainer.test_freq", "actor_rollout_ref.model.path", "critic.model.path")  # fmt: skip
# A key -> those that bring choices of one's own (agent_loop.py:534; a module may register some).
AGENT = "actor_rollout_ref.rollout.agent"
WIDENED = {
    f"{AGENT}.default_agent_loop": (f"{AGENT}.agent_loop_config_path",
                                    "actor_rollout_ref.model.external_lib"),
}  # fmt: skip


def said(tree: dict[str, Any], key: str) -> str:
    """A setting as it is typed: "trainer.critic_warmup=100"."""
    return f"{key}={yaml_word(get(tree, key))}"


def _row(key: str, row: Mapping[str, Any]) -> Flag:
    kind, choices = row.get("type", "choice"), tuple(row.get("choices", ()))
    bounds = {name: row[name] for name in ("min", "max", "above", "below") if name in row}
    return Flag(key, "", kind, "", (key,), choices=choices or None, **bounds)


@functools.cache
def limits() -> dict[str, Flag]:
    """Dotted key -> what it takes, as a flag would."""
    rows = yaml.safe_load((CONFIGS / "limits.yaml").read_text(encoding="utf-8"))
    flags = {key: flag for flag in load_table() for key in flag.keys if not key.startswith(OURS)}
    free = {key: flag for key, flag in flags.items() if key not in ELSEWHERE}
    return {**free, **{key: _row(key, row) for key, row in rows.items()}}


def follows(config: Config, key: str) -> bool:
    """Whether it only repeats another key, whose value is told already."""
    link = get(config.links, key)
    return isinstance(link, str) and link.startswith("${")


def _wrong(flag: Flag, value: Any) -> Any:
    """What of a value the key does not take; None when it takes all of it."""
    if flag.type == "list":  # verl takes one word as well (trainer.logger=wandb)
        words = [value] if isinstance(value, str) else value or []
        return next((word for word in words if not fits(flag, [word])), None)
    return None if fits(flag, value) else value


def check(scene: Scene) -> Iterator[Finding]:
    return map(Finding, _refused(scene.config))


def of_their_kind(config: Config) -> bool:
    """Whether values may be compared: where one is not, that is told, and nothing about it more."""
    return next(_refused(config), None) is None


def _refused(config: Config) -> Iterator[str]:
    for key, flag in limits().items():
        value = get(config.verl, key)
        open_by_verl = value is None and get(config.verl_defaults, key) is None
        widened = any(get(config.verl, other) for other in WIDENED.get(key, ()))
        if open_by_verl or widened or follows(config, key):
            continue
        wrong = _wrong(flag, value)
        if wrong is not None or value is None:
            near = closest(str(wrong), flag.choices or ())
            yield f"{key}={yaml_word(value)}: takes {allowed(flag)}.{near}"
