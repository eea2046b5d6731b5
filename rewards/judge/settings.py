"""A judge's settings, from rewards/api_reward_config.yaml, a file of the user's, and flags.

    judge_spec({"api_type": "claude", "prompt_preset": "math", "budget": "5usd"})
    # JudgeSpec(provider="claude", model="claude-haiku-5-5", scoring_prompt="Grade one response ...

Of the three, the later one counts. Everything that is wrong is said at once. Left out on purpose:
keys, and whether the provider knows the model; the client sees to both.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from rewards import yaml_file
from rewards.judge import prompts
from rewards.judge.allowed import OFF, READERS, Wrong, read
from rewards.judge.providers import PROVIDERS
from rewards.part import Mistakes
from rewards.spec import JudgeSpec

CONFIG = Path(__file__).parents[1] / "api_reward_config.yaml"
NEEDED = ("api_type", "prompt_preset")  # the others have a default in JudgeSpec
PRESET_SCALE = (1, 10)  # which the words of the presets explain
# What is passed on as it is, and by the same name.
_SAME = (
    *("base_url", "region", "concurrency", "rpm", "tpm", "timeout_s", "retries"),
    *("samples", "max_tokens", "scale", "thinking", "lenient"),
)


@dataclass(frozen=True)
class _Layer:
    """values: what was given and fine. wrong: what was not, with problems, each a sentence."""

    values: dict[str, Any] = field(default_factory=dict)
    wrong: frozenset[str] = frozenset()
    problems: tuple[str, ...] = ()


def _unknown(name: str) -> str:
    if "key" in name.lower():
        variables = ", ".join(provider.keys[0] for provider in PROVIDERS.values())
        return f"{name}: keys are read from the environment alone: {variables}"
    near = get_close_matches(name, READERS, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return f"{name}: a judge has no such setting.{hint} It has {', '.join(READERS)}"


def _checked(given: Mapping[str, Any], folder: Path, where: str) -> _Layer:
    """None counts as not given."""
    values: dict[str, Any] = {}
    wrong: dict[str, list[str]] = {}
    for name, value in given.items():
        if name not in READERS:
            wrong[str(name)] = [_unknown(str(name))]
        elif value is not None:
            try:
                values[name] = read(name, value, folder)
            except Wrong as error:
                wrong[name] = list(error.problems)
    problems = tuple(where + problem for found in wrong.values() for problem in found)
    return _Layer(values, frozenset(wrong), problems)


def _load(path: Path) -> _Layer:
    try:
        plain = yaml_file.read(path)
    except yaml_file.BadYaml as error:
        hint = "" if path.is_file() else f"; copy and edit {CONFIG}"
        return _Layer(problems=(f"{error}{hint}",))
    if not isinstance(plain, dict | None):
        return _Layer(problems=(f"{path}: holds no settings; each line is like `samples: 3`",))
    return _checked(plain or {}, path.parent, f"{path}: ")


def _overlay(values: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """A model belongs to its provider, and prompts give way to a preset that is asked for."""
    kept = dict(values)
    if later.get("api_type", values.get("api_type")) != values.get("api_type"):
        kept |= dict.fromkeys(("model", "base_url", "region"))
    if "prompt_preset" in later:
        kept |= dict.fromkeys(("system_prompt", "scoring_prompt"))
    models = {**values.get("default_models", {}), **later.get("default_models", {})}
    return {**kept, **later, "default_models": models}


def _together(values: Mapping[str, Any], wrong: frozenset[str]) -> list[str]:
    """What is wrong with settings that are each fine; nothing on those that are wrong anyway."""
    problems = []
    provider, region = values.get("api_type", ""), values.get("region")
    if region and provider and region not in PROVIDERS[provider].regions:
        problems.append(f"region: {region} was given, but {provider} has one address; leave it out")
    if "model" not in wrong and not values.get("model") and values.get("base_url"):
        problems.append(
            f"model: base_url {values['base_url']} needs the name of a model that is served there; "
            "give it with --rm_model"
        )
    scale, own = values.get("scale", PRESET_SCALE), values.get("scoring_prompt")
    if "scoring_prompt" not in wrong and not own and scale != PRESET_SCALE:
        problems.append(
            f"scale: {list(scale)} needs a scoring_prompt that explains it; the presets score "
            f"from {PRESET_SCALE[0]} to {PRESET_SCALE[1]}"
        )
    needed = [name for name in NEEDED if name not in values and name not in wrong]
    if provider and not values.get("model") and provider not in values["default_models"]:
        needed.append(f"default_models: {provider}")
    return problems + [f"{name}: {CONFIG} has no such line; put it back" for name in needed]


def judge_spec(
    overrides: Mapping[str, Any], config: Path | None = None, default_cache: Path | None = None
) -> JudgeSpec:
    """overrides: by the names in the file; None is not given. default_cache: where none is named.

    Raises Mistakes.
    """
    files = dict.fromkeys(file.resolve() for file in (CONFIG, config) if file)
    layers = [*map(_load, files), _checked(overrides, Path.cwd(), "")]
    values: dict[str, Any] = {}
    for layer in layers:
        values = _overlay(values, layer.values)
    wrong = frozenset(name for layer in layers for name in layer.wrong)
    problems = [problem for layer in layers for problem in layer.problems]
    if problems := problems + _together(values, wrong):
        raise Mistakes(problems)
    cache = values.get("cache") or (str(default_cache.resolve()) if default_cache else OFF)
    return JudgeSpec(
        provider=values["api_type"],
        model=values.get("model") or values["default_models"][values["api_type"]],
        system_prompt=values.get("system_prompt") or prompts.preset(prompts.SYSTEM),
        scoring_prompt=values.get("scoring_prompt") or prompts.preset(values["prompt_preset"]),
        cache=None if cache == OFF else cache,
        **{name: values[name] for name in _SAME if values.get(name) is not None},
        **values.get("budget", {}),
    )
