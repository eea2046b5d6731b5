"""The launcher's side of rewards: from flags and YAML to a RewardSpec that is checked and tried.

    spec.reward_spec(config, folder)      # what scores, as plain data, or every mistake at once
    rows.route(spec, work)               # how the plan tells it
    trial.trial.try_reward(spec, rows)    # reference answers, junk, a judge's two live answers

What a reward is and computes is not here: see rewards/.
"""
