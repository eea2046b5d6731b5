"""Python's garbage collector, kept off what lives as long as the process.

verl, torch and transformers leave more than a million objects behind when they are imported. A full
collection walks all of them, takes half a second, and comes every few seconds of a run; the one at
the end of a process takes seconds, in a fork more, for it copies what it walks.
"""

import atexit
import gc


def freeze() -> None:
    """Call when a process has its modules and models: what exists now is never walked again."""
    gc.collect()
    gc.freeze()


def never_at_exit() -> None:
    """For a process, and those that it forks, with nothing that waits for its last collection."""
    atexit.register(gc.freeze)
