"""Ways of training that have to work: attention, a LoRA adapter, a reward model here or there."""

from typing import Any

from gpu_check import speed, words
from gpu_check.check import Check, Failure, Found, Skip
from gpu_check.runs import launched
from gpu_check.stock import has_flash
from verlaunch.machine import hardware

STEPS = 2
NAMES = {"actor/entropy": "entropy", "actor/grad_norm": "gradient", "timing_s/step": "s/step",
         "reward/rm_score/mean": "score"}  # fmt: skip


def _trained(check: Check, name: str, typed: list[str], *keys: str) -> tuple[dict[str, Any], Found]:
    """The last step, and what is told of it; the first of a run is slow, and this is the second."""
    with launched(check, name, typed) as run:
        last = run.steps(STEPS)[-1]
    said = ", ".join(f"{NAMES[key]} {last[key]:.3g}" for key in keys)
    return last, Found(f"{STEPS} steps; {said}", {key: last[key] for key in keys})


def sdpa(check: Check) -> Found:
    """Without flash-attn every run takes it, the timed ones too."""
    if not has_flash():
        speed.ours(check, check.profile.smallest)
        return Found("what every run here used: flash-attn is not installed")
    return _attention(check, "sdpa", without_padding=False)


def flash(check: Check, without_padding: bool) -> Found:
    if not has_flash():
        raise Skip("flash-attn is not installed")
    if check.profile.hardware == "cpu":
        raise Skip("flash-attn needs a GPU")
    return _attention(check, "flash_attention_2", without_padding)


def _attention(check: Check, kind: str, without_padding: bool) -> Found:
    typed = words.attention(check, kind, without_padding)
    name = f"{kind}{'-packed' if without_padding else ''}"
    return _trained(check, name, typed, "actor/entropy", "actor/grad_norm", "timing_s/step")[1]


def lora(check: Check) -> Found:
    return _trained(check, "lora", words.lora(check), "actor/grad_norm", "timing_s/step")[1]


def reward_apart(check: Check) -> Found:
    if check.profile.hardware == "cpu":
        raise Skip("needs two GPUs; a CPU has none to give away")
    if (count := len(hardware.look().gpus)) < 2:
        raise Skip(f"needs two GPUs, and there is {count}")
    return rewarded(check, "reward-apart", 1)


def rewarded(check: Check, name: str, gpus: int) -> Found:
    typed = words.reward_model(check, gpus)
    last, found = _trained(check, name, typed, "reward/rm_score/mean", "timing_s/step")
    if failed := last.get("reward/rm_failed/mean", 0.0):
        raise Failure(f"{failed:.0%} of the responses got no score from the reward model")
    return found
