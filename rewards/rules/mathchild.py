"""What runs inside the child processes of `rewards.rules.mathpool`: one comparison by Math-Verify.

    begin()
    equal(r"\\sqrt{8}", r"2\\sqrt{2}")  # True

Only LaTeX is parsed, by a grammar: Math-Verify's other way in evaluates the text as Python. Its own
time limits are off; ours is one timer here, and the pool kills a process that does not hear it.
"""

import logging
import resource
import signal
from functools import lru_cache
from typing import Any

from rewards.functions import child

CPU_S = 3.0  # of one comparison; seconds on the clock would punish answers on a busy machine
MOST_MEMORY = 2 << 30  # bytes of address space; a comparison takes some 100 MB with its imports


class _Late(BaseException):
    """Not an Exception: neither sympy nor Math-Verify may take it for one of its own."""


def _ring(_signal: int, _frame: Any) -> None:
    raise _Late


def begin() -> None:
    child.begin()
    logging.disable(logging.CRITICAL)  # Math-Verify logs each text that it cannot parse
    signal.signal(signal.SIGPROF, _ring)
    _parsed("1")
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))


@lru_cache(maxsize=256)  # every response to a prompt is compared with the same reference
def _parsed(latex: str) -> list[Any]:
    from math_verify import LatexExtractionConfig, parse

    config = [LatexExtractionConfig()]
    return parse(f"${latex}$", config, fallback_mode="no_fallback", parsing_timeout=None)


def equal(gold: str, answer: str) -> bool:
    """Whether the answer is the gold one, in that order: x = 5 may be answered by 5."""
    from math_verify import verify

    signal.setitimer(signal.ITIMER_PROF, CPU_S)
    try:
        return bool(verify(_parsed(gold), _parsed(answer), timeout_seconds=None))
    except (Exception, _Late):  # what cannot be compared in time is not equal
        return False
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
