"""One trial of a reward, for whoever tries one: the plan, the start, the doctor and score.

    found = try_reward(spec, rows)          # trial.py: rules on known answers, judges asked live
    found.means["math_reasoning"]           # {"reference": 1.0, "empty": 0.0, "junk": 0.0}

rows.py and few.py choose rows, answers.py what is answered to them; measure.py scores and keeps
what each part said, summary.py counts, on_references.py judges. Nothing here imports torch,
ray or verl.
"""
