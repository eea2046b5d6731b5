"""Settings of a reward that were typed in vain.

idle_flags(config, spec.parts)
# ["--rm_model has no effect without --use_api_reward. Add that, or leave --rm_model out."]
"""

from collections.abc import Callable, Iterable

from rewards.spec import JudgeSpec, ModelSpec, PartSpec, RuleSpec
from verlaunch.config.tree import Config
from verlaunch.plan.reward.judge import JUDGE_FLAGS
from verlaunch.plan.reward.rows import Source


def _is_judge(source: Source) -> bool:
    return isinstance(source, JudgeSpec)


def _is_model(source: Source) -> bool:
    return isinstance(source, ModelSpec)


def _is_loaded(source: Source) -> bool:
    return isinstance(source, ModelSpec) and source.url is None


def _is_function(source: Source) -> bool:
    return isinstance(source, RuleSpec) and source.function is not None


IDLE: tuple[tuple[Callable[[Source], bool], tuple[str, ...], str], ...] = (
    # flags that shape one kind of part, and what asks for such a part
    (_is_judge, (*JUDGE_FLAGS, "api_reward_config"), "--use_api_reward"),
    (_is_model, ("rm_tokenizer", "rm_max_length", "rm_scale", "rm_clip"), "--reward_model MODEL"),
    (_is_loaded, ("rm_backend", "rm_device", "rm_gpus", "rm_trust_remote_code"),
     "a --reward_model that is loaded here"),
    (_is_function, ("reward_timeout", "reward_workers"), "--reward_fn FILE.py:FUNCTION"),
)  # fmt: skip


def idle_flags(config: Config, parts: Iterable[PartSpec]) -> list[str]:
    """A flag that nothing reads was meant otherwise."""
    sources = [part.source for part in parts]
    launch, given = config.launch, config.given
    found = []
    for is_kind, flags, asking in IDLE:
        # switched off by hand, and the rest of the words may stay
        off = is_kind is _is_judge and "verlaunch.use_api_reward" in given
        if not any(map(is_kind, sources)) and not (off and not launch["use_api_reward"]):
            found += [
                f"--{flag} has no effect without {asking}. Add that, or leave --{flag} out."
                for flag in flags
                if f"verlaunch.{flag}" in given
            ]
    return found
