"""The table of metrics: short names that stay, what verl calls them, what is healthy.

    short({"critic/score/mean": 0.6, "actor/pg_loss": -0.01})
    # {"reward_mean": 0.6, "policy_loss": -0.01}

Every record, picture and page takes names, titles and ranges from here. A reward's parts become
reward_part_KEY, as many as there are. Left out on purpose: the rest of verl's numbers, which keep
their own names (metrics.jsonl and the right half of the CSV hold them all).
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

Line = dict[str, Any]
Range = tuple[float | None, float | None]


@dataclass(frozen=True)
class Metric:
    """`healthy`: where its values should lie. `keeps`: the least share of its start that should
    be left. `keys`: verl's names; the first one that is there wins."""

    name: str
    keys: tuple[str, ...]
    title: str
    form: str  # for str.format
    group: str
    help: str
    healthy: Range | None = None
    trend: Literal["rise"] | None = None
    keeps: float | None = None


KL_LOW, KL_HIGH, KL_FAR = 0.001, 0.1, 1.0  # nats per token
KL_RESPONSE = 1.0  # nats of a whole response: one that is a single choice has no more than that
CLIP_LOW, CLIP_HIGH = 0.1, 0.3
PART, PARTS = "reward_part_", "reward/"  # ours, and how the trainer names them
MEAN = "/mean"
VALIDATION, VALIDATION_MEAN = "val-core/", "/mean@"
NO_PART = ("reward/score/mean", "reward/reward_failed/mean")  # have names of their own

METRICS: tuple[Metric, ...] = (
    Metric("reward_mean", ("critic/score/mean",), "Reward", ".3f", "reward",
           "Mean reward of a step's responses, before any KL penalty.", trend="rise"),
    Metric("reward_min", ("critic/score/min",), "Lowest reward", ".3f", "reward",
           "The lowest reward of the step."),
    Metric("reward_max", ("critic/score/max",), "Highest reward", ".3f", "reward",
           "The highest reward of the step."),
    Metric("validation_score", (), "Validation score", ".3f", "reward",
           "Mean reward on the validation prompts, each data_source weighing the same.",
           trend="rise"),
    Metric("reward_failed", ("reward/reward_failed/mean",), "Failed rewards", ".3f", "reward",
           "Share of responses that could not be scored.", healthy=(None, 0.05)),

    Metric("kl_divergence", ("actor/reward_kl_penalty", "actor/kl_loss", "actor/ppo_kl"),
           "KL divergence", ".4f", "KL",
           "Nats per token between policy and reference model; without a reference model, "
           "between policy and the one that generated.", healthy=(KL_LOW, KL_HIGH)),
    Metric("kl_coef", ("actor/reward_kl_penalty_coeff", "actor/kl_coef"),
           "KL coefficient", ".4g", "KL",
           "Weight of the KL penalty."),
    Metric("kl_per_response", ("actor/kl_per_response",), "KL per response", ".2f", "KL",
           "Nats of a whole response: what an adaptive coefficient steers."),
    Metric("update_kl", ("actor/ppo_kl",), "KL of the update", ".4f", "KL",
           "Nats per token that the step's updates moved the policy."),

    Metric("policy_loss", ("actor/pg_loss",), "Policy loss", ".4f", "policy",
           "The clipped surrogate loss; near 0 when advantages are whitened."),
    Metric("clip_fraction", ("actor/pg_clipfrac",), "Clip fraction", ".3f", "policy",
           "Share of tokens that the clip range held back. Of a negative advantage, ratios above 3 "
           "are clipped too, and counted apart (actor/pg_clipfrac_lower).",
           healthy=(CLIP_LOW, CLIP_HIGH)),
    Metric("entropy", ("actor/entropy",), "Entropy", ".3f", "policy",
           "Nats per token of the policy's choices.", keeps=0.1),
    Metric("policy_grad_norm", ("actor/grad_norm",), "Policy gradient norm", ".3f", "policy",
           "Before clipping."),
    Metric("lr", ("actor/lr",), "Learning rate", ".3g", "policy",
           "Of the policy, in this step's updates; with a warm-up it begins at 0."),
    Metric("updates", ("actor/updates",), "Policy updates", ".0f", "policy",
           "Optimizer steps of the policy that were taken in the step."),
    Metric("approx_kl", ("actor/approx_kl",), "KL of the passes", ".4f", "policy",
           "The largest KL per token that a mini batch had to the policy that generated it: what "
           "--stop_kl looks at."),
    Metric("stop_epoch", ("actor/stop_epoch",), "Stopped in epoch", ".0f", "policy",
           "The PPO epoch in which --stop_kl ended the step's updates."),

    Metric("value_loss", ("critic/vf_loss",), "Value loss", ".4f", "critic",
           "The clipped value loss."),
    Metric("explained_variance", ("critic/vf_explained_var",),
           "Explained variance", ".3f", "critic",
           "Share of the returns' variance that the critic foresees, at most 1.",
           healthy=(0.0, None)),
    Metric("value_mean", ("critic/values/mean",), "Value", ".3f", "critic",
           "Mean of the critic's values."),
    Metric("return_mean", ("critic/returns/mean",), "Return", ".3f", "critic",
           "Mean of the returns."),
    Metric("advantage_mean", ("critic/advantages/mean",), "Advantage", ".3f", "critic",
           "Mean over tokens; 0 when whitened."),
    Metric("advantage_min", ("critic/advantages/min",), "Lowest advantage", ".3f", "critic",
           "Over tokens."),
    Metric("advantage_max", ("critic/advantages/max",), "Highest advantage", ".3f", "critic",
           "Over tokens."),
    Metric("critic_grad_norm", ("critic/grad_norm",), "Critic gradient norm", ".3f", "critic",
           "Before clipping."),
    Metric("critic_lr", ("critic/lr",), "Critic learning rate", ".3g", "critic",
           "Of the critic."),

    Metric("response_length", ("response_length/mean",), "Response length", ".1f", "text",
           "Mean tokens of a response."),
    Metric("truncated", ("response/truncated",), "Truncated responses", ".3f", "text",
           "Share of responses that reached the longest length allowed.", healthy=(None, 0.1)),
    Metric("prompt_length", ("prompt_length/mean",), "Prompt length", ".1f", "text",
           "Mean tokens of a prompt."),

    Metric("judge_calls", ("judge/calls",), "Judge calls", ".0f", "judge",
           "Asked since the last start."),
    Metric("judge_failed_requests", ("judge/failed_requests",), "Failed requests", ".0f", "judge",
           "Requests to the judge that failed, since the last start."),
    Metric("judge_fail_rate", ("judge/fail_rate",), "Judge failures", ".3f", "judge",
           "Share of the rows for the judge that it could not score.", healthy=(None, 0.05)),
    Metric("judge_input_tokens", ("judge/input_tokens",), "Judge input tokens", ".0f", "judge",
           "Billed since the last start."),
    Metric("judge_output_tokens", ("judge/output_tokens",), "Judge output tokens", ".0f", "judge",
           "Billed since the last start."),
    Metric("judge_latency_s", ("judge/latency_p50_s",), "Judge latency", ".2f", "judge",
           "Median of the latest requests."),

    Metric("throughput", ("perf/throughput",), "Throughput", ".0f", "time",
           "Prompt and response tokens per second and GPU (on the CPU, per rank)."),
    Metric("step_time_s", ("timing_s/step",), "Step", ".2f", "time",
           "A step without its validation."),
    Metric("time_rollout_s", ("timing_s/gen",), "Rollout", ".2f", "time",
           "Generating, with the rewards that come meanwhile."),
    Metric("time_reward_s", ("timing_s/reward",), "Reward", ".2f", "time",
           "Scoring after the rollout."),
    Metric("time_old_log_prob_s", ("timing_s/old_log_prob",), "Old log-probs", ".2f", "time",
           "The policy's log-probabilities before its update."),
    Metric("time_reference_s", ("timing_s/ref",), "Reference", ".2f", "time",
           "The reference model's log-probabilities."),
    Metric("time_values_s", ("timing_s/values",), "Values", ".2f", "time",
           "The critic's values."),
    Metric("time_advantages_s", ("timing_s/adv",), "Advantages", ".2f", "time",
           "KL penalty and GAE."),
    Metric("time_critic_update_s", ("timing_s/update_critic",), "Critic update", ".2f", "time",
           "Training it."),
    Metric("time_policy_update_s", ("timing_s/update_actor",), "Policy update", ".2f", "time",
           "Training it."),
    Metric("time_weight_sync_s", ("timing_s/update_weights",), "Weight sync", ".2f", "time",
           "New weights for the rollouts."),
    Metric("time_checkpoint_s", ("timing_s/save_checkpoint",), "Checkpoint", ".2f", "time",
           "Saving one."),
    Metric("time_validation_s", ("timing_s/testing",), "Validation", ".2f", "time",
           "Beside the step."),
)  # fmt: skip
by_name: dict[str, Metric] = {metric.name: metric for metric in METRICS}


def kl_high(lengths: Sequence[float]) -> float:
    """Where a KL per token stops being healthy. `lengths`: of responses, in tokens. A response of
    few tokens (a sum, a letter) decides in each of them what a long one decides in hundreds."""
    tokens = median(lengths) if lengths else math.inf
    return round(min(KL_FAR, max(KL_HIGH, KL_RESPONSE / max(1.0, tokens))), 2)


def of_run(config: Line, lengths: Sequence[float] = ()) -> dict[str, Metric]:
    """The table by name, with the ranges that this run means. config: config.yaml, or {}; lengths:
    of its responses, in tokens.

    An adaptive coefficient steers the KL, so it has no upper end. Without a reference model the KL
    is that of an update, which may be 0. Where the learning rate falls, so does the clip fraction.
    """
    algorithm = config.get("algorithm")
    if not isinstance(algorithm, dict):
        return by_name
    kl, actor = by_name["kl_divergence"], config.get("actor_rollout_ref", {}).get("actor", {})
    healthy: Range | None = (KL_LOW, kl_high(lengths))
    if algorithm.get("use_kl_in_reward") is False and not actor.get("use_kl_loss"):
        healthy = None
    elif algorithm.get("kl_ctrl", {}).get("target_kl"):
        healthy = (KL_LOW, None)
    own = {**by_name, kl.name: dataclasses.replace(kl, healthy=healthy)}
    if actor.get("optim", {}).get("lr_scheduler_type", "constant") != "constant":
        clip = by_name["clip_fraction"]
        own[clip.name] = dataclasses.replace(clip, healthy=(None, CLIP_HIGH))
    return own


def finite(value: Any) -> float | None:
    """A number as it is; None for null, NaN, infinity and everything else."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and math.isfinite(value) else None


def without_nan(tree: Any) -> Any:
    """The same, with null for NaN and infinity, which JSON has no word for."""
    if isinstance(tree, dict):
        return {str(key): without_nan(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [without_nan(value) for value in tree]
    return finite(tree) if isinstance(tree, float) else tree


def validation_score(line: Line) -> float | None:
    """The mean of the core validation scores, over data sources; None when there are none."""
    found = [
        value
        for key, value in line.items()
        if key.startswith(VALIDATION) and VALIDATION_MEAN in key and value is not None
    ]
    return sum(found) / len(found) if found else None


def value(metric: Metric, line: Line) -> float | None:
    """None when a line does not have it, or it was not finite."""
    if metric.name == "validation_score":
        return finite(validation_score(line))
    return next((finite(line[key]) for key in metric.keys if key in line), None)


def parts(line: Line) -> dict[str, float]:
    """{"rule_score": 0.4, ...}: what the reward is made of, and what its parts tell beside."""
    named = (key for key in line if key.startswith(PARTS) and key.endswith(MEAN))
    found = {key[len(PARTS) : -len(MEAN)]: finite(line[key]) for key in named if key not in NO_PART}
    return {name: number for name, number in found.items() if number is not None}


def short(line: Line) -> dict[str, float]:
    """What a line of metrics.jsonl says, by short name."""
    found = {metric.name: value(metric, line) for metric in METRICS}
    named = {name: number for name, number in found.items() if number is not None}
    return named | {f"{PART}{name}": number for name, number in parts(line).items()}


def only_validates(metrics: Line) -> bool:
    """Whether a line of metrics.jsonl belongs to the validation before the first step."""
    return all(key.startswith("val-") for key in metrics if key not in ("step", "time"))
