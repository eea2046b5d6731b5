"""What is wrong with a configuration as it was typed, before its numbers are worked out.

    [finding.text for finding in check(config)]
    ->  ["data.train_batch_size=0: takes a whole number of at least 1."]

Flags check their own ranges; here are verl's keys, typed as key=value or written in a recipe, and
what a name or a rank contradicts. Where one is found, nothing can be counted.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from verlaunch.config.derive import RULES
from verlaunch.config.tree import ACTOR, REF, ROLLOUT, Config, get
from verlaunch.errors import Finding

SIZES = (
    "data.train_batch_size",
    "data.max_prompt_length",
    "data.max_response_length",
    f"{ACTOR}.ppo_mini_batch_size",
    f"{ACTOR}.ppo_micro_batch_size_per_gpu",
    f"{ACTOR}.ppo_max_token_len_per_gpu",
    f"{ACTOR}.ppo_epochs",
    f"{REF}.log_prob_micro_batch_size_per_gpu",
    f"{ROLLOUT}.log_prob_micro_batch_size_per_gpu",
    f"{ROLLOUT}.n",
    f"{ROLLOUT}.tensor_model_parallel_size",
    f"{ROLLOUT}.max_model_len",
    f"{ROLLOUT}.max_num_seqs",
    f"{ROLLOUT}.max_num_batched_tokens",
    f"{ROLLOUT}.agent.num_workers",
    "critic.ppo_mini_batch_size",
    "critic.ppo_micro_batch_size_per_gpu",
    "critic.ppo_epochs",
    "trainer.n_gpus_per_node",
    "trainer.nnodes",
    "trainer.total_epochs",
    "trainer.total_training_steps",
    "trainer.save_freq",
)
# Worked out when null, or they follow such a key.
OPEN = {key for key, _ in RULES} | {key for key in SIZES if "batch_size" in key}
# Paths that the launcher sets when it has prepared what they point to.
LAUNCHERS = {
    "data.train_files": "--data",
    "data.val_files": "--val_data",
    "trainer.default_local_dir": "--output_dir",
    "trainer.resume_mode": "--resume",
    "trainer.resume_from_path": "--resume",
}


def check(config: Config) -> Iterator[Finding]:
    yield from _sizes(config)
    yield from _ranks(config)
    typed = config.given | config.recipe_keys
    for key, flag in LAUNCHERS.items():
        if key in typed:
            yield Finding(f"{key} is set by the launcher. Use {flag}.")
    if (name := config.launch["run_name"]) and Path(name).name != name:
        yield Finding(
            f"--run_name {name} is a path; it takes the name of a folder inside --output_dir "
            f"{config.launch['output_dir']}."
        )


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _sizes(config: Config) -> Iterator[Finding]:
    for key in SIZES:
        value = get(config.verl, key)
        if not _is_size(value) and not (value is None and key in OPEN):
            shown = "null" if value is None else value
            yield Finding(f"{key}={shown}: takes a whole number of at least 1.")


def _ranks(config: Config) -> Iterator[Finding]:
    rank = config.launch["node_rank"]
    if rank > 0 and get(config.verl, "trainer.nnodes") == 1:
        yield Finding(
            f"--node_rank {rank}: this run has one machine. Of several, say how many there are: "
            "--nnodes N, the same on each. Of one, leave --node_rank out."
        )
    if rank > 0 and config.launch["ray_address"]:
        yield Finding(
            f"--node_rank {rank}: the machines of --ray_address are there already. Start the run "
            "once, on one of them, without --node_rank; --nnodes N says how many of them it takes."
        )
