"""What goes wrong in a run, said while it runs: each sign once, with what to do about it.

    alerts = Alerts(history)           # lines of metrics.jsonl, from before a resume
    alerts.look(step, metrics)         # [Alert(7, "reward_zero", "reward always 0 since ...", 0.0)]

watch      who has been told what      reward     reward_zero, reward_constant, judge
series     the numbers so far          policy     nan, kl, entropy, value_loss
                                       responses  truncated, length

The names of the alerts are the choices of --stop_on. Left out on purpose: verdicts on a finished
run (report/), and what ends a run by itself (failed rewards: rewards/tally.py).
"""
