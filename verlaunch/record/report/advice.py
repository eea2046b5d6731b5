"""What a metric's value means and what to try, as half sentences after the number.

    ADVICE["kl_divergence", "high"]   # "the policy is far from the reference model, where ..."

Left out on purpose: which one applies (verdicts.py), and where healthy ranges lie (names.py).
"""

# Beyond these it is no longer a matter of taste.
TOO_HIGH = {
    "kl_divergence": 1.0,
    "clip_fraction": 0.6,
    "truncated": 0.5,
    "reward_failed": 0.2,  # the share at which the reward stops a run
    "judge_fail_rate": 0.2,
}

ADVICE = {
    ("reward_mean", "rises"): "training teaches what the reward asks for",
    ("reward_mean", "flat"): "no clear change yet: give it more --steps, a higher --lr, or prompts "
    "that are sometimes answered well and sometimes not",
    ("reward_mean", "falls"): "the policy gets worse: lower --lr, and read samples with "
    "./train.sh score to see what the reward likes",
    ("validation_score", "rises"): "it answers the validation prompts better",
    ("validation_score", "flat"): "no better than before on the validation prompts: more "
    "--steps, or more varied --data",
    ("validation_score", "falls"): "worse on the validation prompts: lower --lr, raise "
    "--kl_coef, or use the best checkpoint instead of the last",
    ("kl_divergence", "low"): "the policy hardly moves: a higher --lr or a "
    "lower --kl_coef lets it learn more",
    ("kl_divergence", "good"): "the policy learns and stays near the reference model",
    ("kl_divergence", "high"): "the policy is far from the reference model, where a reward is "
    "easily gamed: read samples; raise --kl_coef or lower --lr",
    ("clip_fraction", "low"): "small updates, or each batch is used for one update only: a higher "
    "--lr or more --ppo_epochs learns more from a batch",
    ("clip_fraction", "good"): "most of each update lies inside the clip range",
    ("clip_fraction", "high"): "much of each update is cut off: lower --lr or --ppo_epochs",
    ("entropy", "good"): "the policy still tries different answers",
    ("entropy", "low"): "the policy has all but stopped exploring: raise --entropy_coef or "
    "--temperature, lower --lr",
    ("explained_variance", "low"): "the critic foresees returns worse than their mean does: raise "
    "--critic_lr or --critic_epochs, or give it more steps",
    ("explained_variance", "good"): "the critic foresees part of the returns",
    ("truncated", "high"): "answers are cut off and scored unfinished: raise --max_response_length",
    ("truncated", "good"): "nearly all responses come to an end",
    ("reward_failed", "high"): "rows without a real score teach nothing: the log says why they "
    "failed",
    ("reward_failed", "good"): "nearly every response could be scored",
    ("judge_fail_rate", "high"): "the judge often gives no score: see logs/, --rm_timeout, "
    "--rm_rpm and --rm_retries",
    ("judge_fail_rate", "good"): "the judge answers",
}
