"""A reward model's files on this machine: its folder as it is, or downloaded from the hub.

    fetch("Skywork/Skywork-Reward-V2-Qwen3-0.6B")  # Path(".../snapshots/...")

Weights are safetensors; pickled *.bin and *.pt files are taken only where there is nothing else.
"""

from pathlib import Path

from rewards.part import CannotStart

# Config, tokenizer, and a value head that stands beside a model.
SMALL = ["*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken", "value_head.*"]
_SHOWN = 160  # characters of the hub client's own words


def is_local(name: str) -> bool:
    path = Path(name).expanduser()
    return path.exists() or name.startswith(("/", "./", "../", "~")) or name.count("/") > 1


def fetch(
    name: str, flag: str = "--reward_model", *, weights: bool = True, code: bool = False
) -> Path:
    """code: the Python files of the model's own classes too. Raises CannotStart."""
    if is_local(name):
        folder = Path(name).expanduser().resolve()
        if not folder.is_dir():
            raise CannotStart(f"{flag} {name}: no such folder. Give a folder or a hub id.")
        return folder
    from huggingface_hub import snapshot_download

    wanted = [*SMALL, *["*.py"] * code, *["*.safetensors"] * weights]
    try:
        folder = Path(snapshot_download(name, allow_patterns=wanted))
        if weights and not any(folder.glob("*.safetensors")):
            folder = Path(snapshot_download(name, allow_patterns=[*wanted, "*.bin", "*.pt"]))
    except Exception as error:  # the hub client raises many kinds; all mean the same to the user
        reason = " ".join(str(error).split())[:_SHOWN] or type(error).__name__
        raise CannotStart(
            f"{flag} {name}: not a folder here, and the hub did not give it ({reason}). Check the "
            "name, log in with `hf auth login` if it is gated, or download it and pass its folder."
        ) from None
    return folder
