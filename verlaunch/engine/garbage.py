"""Python's garbage collector, kept off what lives as long as the process.

verl, torch and transformers leave more than a million objects behind when they are imported. A full
collection walks all of them, takes half a second, and comes every few seconds of a run.
"""

import gc


def freeze() -> None:
    """Call when a process has its modules and models: what exists now is never walked again."""
    gc.collect()
    gc.freeze()
