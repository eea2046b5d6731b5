"""Why a run died, in words, and what to type next.

    explain(Ended(lines, phase="updating", died=None, exit_code=1, config=verl, hardware="gpu"))

The kinds that are known stand in table.yaml; docs/failures.md shows them to people. What a setting
would be that helps is worked out in ways_out.py. Left out on purpose: failures that the run has
told already in words (a reward that fails too often, a hang, a signal that asked to stop).
"""
