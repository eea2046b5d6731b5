"""Which work was under way, from the names of functions in the traceback around an error.

    doing(["... in update_critic", "torch.OutOfMemoryError: ..."], 1)  ->  "updating the critic"

More exact than the phase of the screen, in which policy, critic and reference take turns.
"""

import re
from collections.abc import Sequence

BEFORE, AFTER = 80, 40  # lines of log around an error that belong to it
# The most telling first: a method of verl's worker or trainer, what a reader calls it.
WORK = (
    (r"critic_train_mini_batch|_update_critic\b", "updating the critic"),
    (r"_?update_actor\b", "updating the policy"),
    (r"compute_ref_log_prob\b", "scoring with the reference model"),
    (r"_?compute_(old_)?log_prob\b", "computing the policy's log-probabilities"),
    (r"critic_infer_batch|_compute_values\b", "computing values with the critic"),
    (r"_save_checkpoint\b|save_checkpoint\(\)", "saving a checkpoint"),
    (r"_load_checkpoint\b|load_checkpoint\(\)", "loading a checkpoint"),
    (r"in export_last\b", "exporting the model"),
    (r"\b(_initialize_kv_caches|determine_available_memory|_dummy_sampler_run|capture_model|"
     r"init_device)\b|EngineCore failed to start", "starting vLLM"),
    (r"\b(wake_up|resume_weights|resume_kv_cache)\b", "waking vLLM"),
    (r"\b(update_weights|receive_weights)\b", "handing the weights to vLLM"),
    (r"\b(execute_model|_dummy_run|sample_tokens)\b", "generating"),
    (r"\binit_model\b|critic_reset|_build_(module|model_optimizer|fsdp_module)\b",
     "loading the models"),
)  # fmt: skip
PATTERNS = tuple((re.compile(names), words) for names, words in WORK)


def doing(lines: Sequence[str], index: int, phase: str) -> str:
    """`phase` where the lines around `index` say nothing more."""
    around = "\n".join(lines[max(0, index - BEFORE) : index + AFTER])
    return next((words for pattern, words in PATTERNS if pattern.search(around)), phase)
