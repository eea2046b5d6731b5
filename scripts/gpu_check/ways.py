"""Ways of training that have to work: attention, a LoRA adapter, a reward model here or there."""

import importlib.util
from pathlib import Path
from typing import Any

from gpu_check import speed, words
from gpu_check.check import Check
from gpu_check.found import Failure, Found, Skip
from gpu_check.runs import launched
from verlaunch.machine import hardware

STEPS = 2
NAMES = {"actor/entropy": "entropy", "actor/grad_norm": "gradient", "timing_s/step": "s/step",
         "reward/rm_score/mean": "score"}  # fmt: skip


def has_flash() -> bool:
    return importlib.util.find_spec("flash_attn") is not None


def _folder(check: Check, name: str) -> Path:
    return check.folder / "runs" / name


def _trained(check: Check, folder: Path, command: list[str]) -> list[dict[str, Any]]:
    with launched(check, folder, command) as run:
        return run.steps(STEPS)


def _told(steps: list[dict[str, Any]], *keys: str) -> Found:
    """Of the last step; the first of a run is slow, and this is the second."""
    last = steps[-1]
    said = ", ".join(f"{NAMES[key]} {last[key]:.3g}" for key in keys)
    return Found(f"{len(steps)} steps; {said}", {key: last[key] for key in keys})


def sdpa(check: Check) -> Found:
    """Without flash-attn every run takes it, the timed ones too."""
    if not has_flash():
        speed.ours(check, check.profile.smallest)
        return Found("what every run here used: flash-attn is not installed")
    return _attention(check, "sdpa", without_padding=False)


def flash(check: Check) -> Found:
    return _attention(check, "flash_attention_2", without_padding=False)


def packed(check: Check) -> Found:
    return _attention(check, "flash_attention_2", without_padding=True)


def _attention(check: Check, kind: str, without_padding: bool) -> Found:
    if kind == "flash_attention_2" and not has_flash():
        raise Skip("flash-attn is not installed")
    if kind == "flash_attention_2" and check.profile.hardware == "cpu":
        raise Skip("flash-attn needs a GPU")
    folder = _folder(check, f"{kind}{'-packed' if without_padding else ''}")
    steps = _trained(check, folder, words.attention(check, folder, kind, without_padding))
    return _told(steps, "actor/entropy", "actor/grad_norm", "timing_s/step")


def lora(check: Check) -> Found:
    folder = _folder(check, "lora")
    steps = _trained(check, folder, words.lora(check, folder))
    return _told(steps, "actor/grad_norm", "timing_s/step")


def reward_beside(check: Check) -> Found:
    return _rewarded(check, "reward-beside", 0)


def reward_apart(check: Check) -> Found:
    if check.profile.hardware == "cpu":
        raise Skip("needs two GPUs; a CPU has none to give away")
    if (count := len(hardware.look().gpus)) < 2:
        raise Skip(f"needs two GPUs, and there is {count}")
    return _rewarded(check, "reward-apart", 1)


def _rewarded(check: Check, name: str, gpus: int) -> Found:
    folder = _folder(check, name)
    steps = _trained(check, folder, words.reward_model(check, folder, gpus))
    failed = steps[-1].get("reward/rm_failed/mean", 0.0)
    if failed:
        raise Failure(f"{failed:.0%} of the responses got no score from the reward model")
    return _told(steps, "reward/rm_score/mean", "timing_s/step")
