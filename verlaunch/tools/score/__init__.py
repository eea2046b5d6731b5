"""Scoring outside training: what a run's reward says of known answers, and of a file's responses.

    ./train.sh score --data my.json --reward_fn my_reward.py:compute_score

work.py collects the reward, rows (data.py, responses.py) and answers to score (answers.py);
measure.py scores them, summary.py counts, verdict.py judges; show.py, picture.py and record.py
tell. Nothing here imports torch, ray or verl; a reward model does, when a run has one.
"""
