"""What a reward model is and how to run it, from its small files: no torch, no weights loaded.

    probe(Path("Skywork-Reward-V2-Qwen3-0.6B"))
    # Probe("Qwen3ForSequenceClassification", "vllm", "classify", "chat", 16384, ...)

What cannot give one number per answer is refused here, with what to give instead, before anything
is downloaded or placed. Left out on purpose: whether the scores make sense (sanity.py asks).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rewards.models.headers import read_json
from rewards.models.positions import positions, ropes, text_part
from rewards.models.profiles import (
    ALONE,
    ENCODERS,
    NOT_TRANSFORMERS,
    NOT_VLLM,
    PER_TOKEN,
    VLLM,
    Input,
    Profile,
    profile_for,
)
from rewards.models.refuse import accept, read_config
from rewards.part import CannotStart

Backend = Literal["vllm", "transformers"]
Task = Literal["classify", "token_classify"]

LONGEST = 16_384  # tokens by default: models with 128k positions were not trained to judge so much
SHORTEST = 16
LENGTH_BOUND = {"dynamic", "longrope"}  # RoPE that transformers chooses by the longest of a batch
TOKENIZER_FILES = ("tokenizer*", "*.model", "vocab.*", "spiece.model")


@dataclass(frozen=True)
class Probe:
    """input: how a conversation is written for the model. max_length: tokens.

    ending: a token that must stand last, where the model reads its score. alone: the score depends
    on who else is in a batch, so that there must be nobody else.
    """

    architecture: str
    backend: Backend
    task: Task
    input: Input
    max_length: int
    profile: Profile
    is_encoder: bool = False
    trust_remote_code: bool = False
    ending: int | None = None
    alone: bool = False


def _backend(
    folder: Path, architecture: str, is_encoder: bool, wanted: str, device: str
) -> Backend:
    if wanted == "vllm" and (is_encoder or architecture in NOT_VLLM):
        raise CannotStart(
            f"{folder}: vLLM does not serve {architecture}. Leave --rm_backend out, or give "
            "transformers."
        )
    if wanted == "transformers" and architecture in NOT_TRANSFORMERS:
        raise CannotStart(f"{folder}: only vLLM runs {architecture}. Leave --rm_backend out.")
    if wanted == "transformers" or architecture in NOT_VLLM:
        return "transformers"
    if wanted == "auto" and device == "cpu" and architecture not in NOT_TRANSFORMERS:
        return "transformers"  # as fast there, and up in a second instead of twelve
    if wanted == "vllm" or architecture in VLLM | PER_TOKEN:
        return "vllm"
    return "transformers"


def _positions(config: dict[str, Any]) -> int | None:
    found = positions(config)
    if found and found % 64 == 2 and config.get("model_type") in ENCODERS:
        found -= 2  # RoBERTa and its kin (514, 8194) count places from 2
    return found


def _max_length(folder: Path, config: dict[str, Any], profile: Profile, asked: int | None) -> int:
    places = _positions(config)
    if asked is None:
        return min(filter(None, (profile.max_length or LONGEST, places)))
    if asked < SHORTEST:
        raise CannotStart(f"--rm_max_length {asked}: at least {SHORTEST} tokens are needed.")
    relative = config.get("relative_attention") and not config.get("position_biased_input", True)
    if places and asked > places and not relative:
        raise CannotStart(f"--rm_max_length {asked}: {folder} has {places} positions, no more.")
    return asked


def _has_template(tokenizer: Path) -> bool:
    if (tokenizer / "chat_template.jinja").is_file():
        return True
    path = tokenizer / "tokenizer_config.json"
    return path.is_file() and bool(read_json(path).get("chat_template"))


def _input(folder: Path, tokenizer: Path, profile: Profile) -> Input:
    if not any(any(tokenizer.glob(pattern)) for pattern in TOKENIZER_FILES):
        raise CannotStart(
            f"{tokenizer} has no tokenizer. Give the one that the model was trained with: "
            "--rm_tokenizer FOLDER_OR_ID."
        )
    has_template = _has_template(tokenizer)
    if profile.input == "chat" and not has_template:
        raise CannotStart(
            f"{folder} reads conversations by a chat template, and {tokenizer} has none. Give the "
            "tokenizer that has it: --rm_tokenizer FOLDER_OR_ID."
        )
    return profile.input or ("chat" if has_template else "pair")


def _name(folder: Path) -> str:
    """The model's own name: its hub cache calls the folder by a commit."""
    for part in reversed(folder.parts):
        if part.startswith("models--"):
            return part.rsplit("--", 1)[-1]
    return folder.name


def probe(
    folder: Path,
    *,
    backend: str = "auto",
    device: str = "auto",
    max_length: int | None = None,
    trust_remote_code: bool = False,
    tokenizer: str | Path | None = None,
) -> Probe:
    """tokenizer: a folder, None for the model's own. Raises CannotStart with one sentence."""
    config = read_config(folder)
    architecture = accept(folder, config, trust_remote_code)
    model_type = config.get("model_type", "")
    profile = profile_for(_name(folder), architecture, model_type)
    chosen = _backend(folder, architecture, model_type in ENCODERS, backend, device)
    return Probe(
        architecture,
        chosen,
        "token_classify" if chosen == "vllm" and architecture in PER_TOKEN else "classify",
        _input(folder, Path(tokenizer or folder), profile),
        _max_length(folder, config, profile, max_length),
        profile,
        model_type in ENCODERS,
        trust_remote_code,
        config.get("reward_token_id"),
        model_type in ALONE or any(kind in LENGTH_BOUND for kind, _ in ropes(text_part(config))),
    )
