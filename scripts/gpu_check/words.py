"""The command of every run of the check, as words for `verlaunch`; its folder is added by `runs`.

    timed(check, "0.5B")    ->  ["--hardware", "gpu", "--model", ...]

Runs are made for a thousand steps and ended when enough of them are in the record: the end of a run
writes a checkpoint, of 36 GB for 1.5 B parameters. Only the demo ends by itself.
"""

from pathlib import Path

from gpu_check.check import Check

EAGER = "actor_rollout_ref.rollout.enforce_eager=true"  # no graphs are captured: a start is shorter
SEQUENCES = "actor_rollout_ref.rollout.max_num_seqs"
NEVER = "1000"  # steps
LORA_RANK = 16
ATTENTION = "+{}.override_config.attn_implementation={}"
PADDING = "{}.use_remove_padding={}"
MODELS = ("actor_rollout_ref.model", "critic.model")


def model_folder(check: Check, name: str) -> Path:
    return check.folder / "models" / name


def rows_file(check: Check, tokens: int) -> Path:
    return check.folder / "models" / f"prompts-{tokens}.json"


def common(
    check: Check, name: str, prompt: int, response: int, steps: str = NEVER, gpus: int = 1
) -> list[str]:
    """Random weights `name`; every response is as long as allowed."""
    return [
        "--hardware", check.profile.hardware, "--model", str(model_folder(check, name)),
        "--data", str(rows_file(check, prompt)), "--n_gpus", str(gpus),
        "--batch_size", str(check.profile.prompts), "--steps", steps, "--save_freq", NEVER,
        "--test_freq", NEVER, "--max_prompt_length", str(prompt),
        "--max_response_length", str(response), "verlaunch.export=false",
        "trainer.val_before_train=false", "actor_rollout_ref.rollout.ignore_eos=true",
    ]  # fmt: skip


def timed(check: Check, name: str) -> list[str]:
    """vLLM captures graphs up to the number of sequences; no more are ever under way."""
    length = check.profile.prompt, check.profile.response
    return [*common(check, name, *length), f"{SEQUENCES}={check.profile.prompts}"]


def short(check: Check, *more: str) -> list[str]:
    """Whether something works at all: the smallest shape and few tokens."""
    tokens = check.profile.short
    return [*common(check, check.profile.smallest, tokens, tokens), EAGER, *more]


def attention(check: Check, kind: str, without_padding: bool) -> list[str]:
    implementation = [ATTENTION.format(model, kind) for model in MODELS]
    padding = [PADDING.format(model, str(without_padding).lower()) for model in MODELS]
    return short(check, *implementation, *padding)


def lora(check: Check) -> list[str]:
    return short(check, "--lora_rank", str(LORA_RANK))


def reward_model(check: Check, gpus: int) -> list[str]:
    """gpus: of its own; 0 shares the policy's."""
    model = str(model_folder(check, "reward-model"))
    return short(check, "--reward_model", model, "--rm_gpus", str(gpus))


def demo(check: Check) -> list[str]:
    """The CPU demo's model, data and recipe on any hardware."""
    passes, steps, save = map(str, check.profile.demo)
    return [
        "--hardware", check.profile.hardware, "--recipe", "cpu_demo",
        "--n_gpus", "1", "--ppo_epochs", passes, "--critic_epochs", passes, "--steps", steps,
        "--save_freq", save, "--test_freq", save, "verlaunch.export=false",
        "actor_rollout_ref.model.path=null", EAGER,
    ]  # fmt: skip
