"""What scores a run: flags, and the YAML of composites, as one RewardSpec.

    reward_spec(config, Path("outputs"))
    # nothing given          rule_score: the built-in rule of each data_source
    # --reward_fn my.py:f    rule_score: this function instead
    # --reward_model MODEL   rm_score alone
    # --use_api_reward       judge_score alone
    # several of them, --reward_mix or --reward_config: a weighted sum (rewards/composite.py)

Everything wrong is told at once. Left out on purpose: whether it can start (checks.py).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rewards.composite import SHIPPED, Composite, check_mix, read
from rewards.composite_grammar import STANDARD, is_number
from rewards.part import Mistakes
from rewards.spec import JudgeSpec, ModelSpec, PartSpec, RewardSpec
from verlaunch.config.tree import Config
from verlaunch.errors import UserError, raise_all
from verlaunch.plan.reward.judge import JUDGE_FLAGS
from verlaunch.plan.reward.parts import Settings, own_part, standard_part


@dataclass(frozen=True)
class _Mix:
    """names: the parts of the run. file: their weights; without one, a single part counts 1."""

    names: tuple[str, ...]
    file: Composite | None = None
    said: str = ""  # where the weights stand, for messages

    def tuning(self, name: str) -> dict[str, Any]:
        entry = self.file.parts.get(name) if self.file else None
        return entry.tuning if entry else {}


def _asked(launch: Mapping[str, Any]) -> list[str]:
    """The parts that flags ask for."""
    flags = {
        "rule_score": launch["reward_fn"] or launch["reward_rules"],
        "rm_score": launch["reward_model"] or launch["rm_url"],
        "judge_score": launch["use_api_reward"],
    }
    return [name for name, given in flags.items() if given]


def _read(path: Path) -> Composite:
    try:
        return read(path)
    except Mistakes as error:
        raise UserError(*error.problems) from None


def _typed_weights(items: Iterable[Any]) -> dict[str, float]:
    """["rm_score=0.7"] -> {"rm_score": 0.7}. Raises UserError."""
    weights: dict[str, float] = {}
    for item in items:
        name, equals, text = str(item).partition("=")
        try:
            weights[name.strip()] = weight = float(text)
        except ValueError:
            weight = float("nan")
        if not equals or not is_number(weight):
            raise UserError(
                f"--reward_mix {item}: takes PART=WEIGHT, as in rm_score=0.7,rule_score=0.3."
            )
    return weights


def _mix(launch: Mapping[str, Any]) -> _Mix:
    """Which parts, by which weights. Raises UserError."""
    asked, own, typed = _asked(launch), launch["reward_config"], launch["reward_mix"]
    file = _read(Path(own).expanduser().resolve() if own else SHIPPED)
    if typed:
        file = file if file.enable else Composite(file.path)
        return _as_written(asked, replace(file, weights=_typed_weights(typed)), "--reward_mix")
    if own and file.enable:
        return _as_written(asked, file, str(file.path))
    if len(asked) < 2:
        return _Mix(tuple(asked or ["rule_score"]))
    if not file.enable:
        raise UserError(
            f"The flags ask for {' and '.join(asked)}, and {file.path} has enable: false. "
            "Leave one out, or give weights: --reward_mix "
            + ",".join(f"{name}={1 / len(asked):.2g}" for name in asked)
        )
    absent = STANDARD.keys() - {*asked} - _own_parts(file)
    return _as_written(asked, file.without(absent), str(file.path))


def _own_parts(file: Composite) -> set[str]:
    return {name for name, entry in file.parts.items() if entry.kind}


def _as_written(asked: list[str], file: Composite, said: str) -> _Mix:
    """Every part that the weights name has to be there; the rules always are."""
    own = _own_parts(file)
    rules = {"rule_score"} & file.named
    names = [name for name in STANDARD if name in {*asked} | rules | own]
    return _Mix(
        (*names, *(name for name in file.parts if name in own - STANDARD.keys())), file, said
    )


def _make_part(name: str, mix: _Mix, settings: Settings) -> PartSpec:
    entry = mix.file.parts.get(name) if mix.file else None
    if mix.file is None or entry is None or entry.kind is None:
        return standard_part(name, settings, mix.tuning(name))
    if name in _asked(settings.launch):
        raise UserError(
            f"{name} is described in {mix.file.path} and asked for by {STANDARD[name]}. "
            "Leave one of them out."
        )
    return own_part(name, entry, settings, mix.file.path)


IDLE = (
    # a kind of part, flags that shape it, and what asks for such a part
    ("judge", (*JUDGE_FLAGS, "api_reward_config"), "--use_api_reward"),
    ("model", ("rm_tokenizer", "rm_max_length", "rm_scale", "rm_clip"), "--reward_model MODEL"),
    ("loaded", ("rm_backend", "rm_device", "rm_gpus", "rm_trust_remote_code"),
     "a --reward_model that is loaded here"),
    ("function", ("reward_timeout", "reward_workers"), "--reward_fn FILE.py:FUNCTION"),
)  # fmt: skip


def _kinds(part: PartSpec) -> set[str]:
    source = part.source
    if isinstance(source, ModelSpec):
        return {"model"} if source.url else {"model", "loaded"}
    if isinstance(source, JudgeSpec):
        return {"judge"}
    return {"function"} if source.function else set()


def _idle_flags(config: Config, parts: Iterable[PartSpec]) -> list[str]:
    """A flag that nothing reads was meant otherwise."""
    launch, given = config.launch, config.given
    there = {kind for part in parts for kind in _kinds(part)}
    # A judge that is switched off by hand: the rest of the words may stay.
    if "verlaunch.use_api_reward" in given and not launch["use_api_reward"]:
        there.add("judge")
    return [
        f"--{flag} has no effect without {asking}. Add that, or leave --{flag} out."
        for kind, flags, asking in IDLE
        if kind not in there
        for flag in flags
        if f"verlaunch.{flag}" in given
    ]


def reward_spec(config: Config, folder: Path, has_references: bool = True) -> RewardSpec:
    """folder: the run's output folder. has_references: there are answers for an affine scale.

    Raises UserError.
    """
    launch = dict(config.launch)
    if config.hardware == "cpu" and launch["rm_device"] == "auto":
        launch["rm_device"] = "cpu"
    settings = Settings(launch, folder, "affine" if has_references else "running")
    mix = _mix(config.launch)
    problems: list[str] = []
    parts: list[PartSpec] = []
    for name in mix.names:
        try:
            parts.append(_make_part(name, mix, settings))
        except UserError as error:
            problems += error.problems
    problems = list(dict.fromkeys(problems)) or _idle_flags(config, parts)
    if mix.file:
        problems += [f"{mix.said}: {problem}" for problem in check_mix(mix.file, mix.names)]
    raise_all(problems)
    if mix.file is None:
        return RewardSpec(tuple(parts), {mix.names[0]: 1.0})
    return RewardSpec(tuple(parts), mix.file.weights, mix.file.by_source, mix.file.gates)
