"""What a person reads of a run: numbers, curves and one page, made from what is on disk.

history   the run's files as plain data      names    short names, healthy ranges
series    the steps by short name            state    running, finished, stopped, failed
verdicts  what a number means, and advice
summary   metrics/summary.json
curves    metrics/training_curves.png        panels, marks, smooth   what stands on it
page/     report.html                        write    all of them, whole or not at all
recorder  while the run goes on
"""
