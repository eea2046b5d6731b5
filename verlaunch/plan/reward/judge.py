"""A judge's settings from the flags, or from a part of a composite's YAML.

    flags_judge(config.launch, Path("outputs"))
    own_judge(Path("outputs"), {"judge": {"prompt_preset": "safety"}}, config.launch, Path("mixes"))

A part of the YAML takes over what the flags say, but for the prompts. Left out on purpose: what
each setting takes (rewards/judge/settings.py).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rewards.part import Mistakes
from rewards.spec import JudgeSpec
from verlaunch.errors import UserError

JUDGE_FLAGS = {  # flag -> the judge's own word for it
    "rm_api_type": "api_type",
    "rm_model": "model",
    "rm_base_url": "base_url",
    "rm_region": "region",
    "rm_prompt_preset": "prompt_preset",
    "rm_system_prompt": "system_prompt",
    "rm_scoring_prompt": "scoring_prompt",
    "rm_concurrency": "concurrency",
    "rm_rpm": "rpm",
    "rm_tpm": "tpm",
    "rm_timeout": "timeout_s",
    "rm_retries": "retries",
    "rm_samples": "samples",
    "rm_cache": "cache",
    "rm_budget": "budget",
}
PROMPTS = ("prompt_preset", "system_prompt", "scoring_prompt")
OF_A_PROVIDER = ("model", "base_url", "region")
CACHE = "judge_cache.sqlite"


def _spec(settings: Mapping[str, Any], launch: Mapping[str, Any], folder: Path) -> JudgeSpec:
    """Raises Mistakes."""
    from rewards.judge.settings import judge_spec

    config = launch["api_reward_config"]
    return judge_spec(settings, Path(config).expanduser() if config else None, folder / CACHE)


def flags_judge(launch: Mapping[str, Any], folder: Path) -> JudgeSpec:
    """folder: the run's, for the cache. Raises UserError."""
    try:
        return _spec({word: launch[flag] for flag, word in JUDGE_FLAGS.items()}, launch, folder)
    except Mistakes as error:
        raise UserError(*map(_as_flag, error.problems)) from None


def _passed_on(flags: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """What a second judge takes over: not the prompts, and of another provider not the model."""
    moved = own.get("api_type", flags["api_type"]) != flags["api_type"]
    left = (*PROMPTS, *(OF_A_PROVIDER if moved else ()))
    return {word: value for word, value in flags.items() if word not in left}


def _from_base(own: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """@file and the cache, seen from the composite's folder."""
    found = dict(own)
    for word, value in own.items():
        is_file = isinstance(value, str) and value.startswith("@") and word in PROMPTS
        if is_file or (word == "cache" and isinstance(value, str) and value != "off"):
            at = "@" * is_file
            found[word] = f"{at}{base / Path(value.removeprefix(at)).expanduser()}"
    return found


def _as_flag(problem: str) -> str:
    """`budget: ...` -> `--rm_budget: ...`; what begins with a file stays."""
    words = {word: flag for flag, word in JUDGE_FLAGS.items()}
    word, colon, rest = problem.partition(":")
    return f"--{words[word]}{colon}{rest}" if word in words else problem


def own_judge(
    folder: Path, part: Mapping[str, Any], launch: Mapping[str, Any], base: Path
) -> JudgeSpec:
    """base: the folder of the file that has the part. Raises UserError."""
    own = part["judge"]
    flags = _passed_on({word: launch[flag] for flag, word in JUDGE_FLAGS.items()}, own)
    try:
        return _spec({**flags, **_from_base(own, base)}, launch, folder)
    except Mistakes as error:
        raise UserError(*error.problems) from None
