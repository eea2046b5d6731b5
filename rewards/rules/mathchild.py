"""What runs inside the child processes of `rewards.rules.mathpool`: one comparison with algebra.

    begin()
    equal(r"\\sqrt{8}", r"2\\sqrt{2}")  # True

Only LaTeX is parsed, by a grammar: Math-Verify's other way in evaluates the text as Python. Its own
time limits are off; ours is one timer here, and the pool kills a process that does not hear it.
"""

import logging
import resource
import signal
from typing import Any

from rewards.functions import child
from rewards.rules.maths.algebra import ByAlgebra, is_verified, parsed
from rewards.rules.maths.equal import equal as says_the_same
from rewards.rules.maths.statement import read_statement

CPU_S = 3.0  # of one comparison; seconds on the clock would punish answers on a busy machine
MOST_MEMORY = 2 << 30  # bytes of address space; a comparison takes some 100 MB with its imports


class _Late(BaseException):
    """Not an Exception: neither sympy nor Math-Verify may take it for one of its own."""


def _ring(_signal: int, _frame: Any) -> None:
    raise _Late


def begin() -> None:
    child.begin()
    import math_verify  # noqa: F401  before memory is bounded

    logging.disable(logging.CRITICAL)  # Math-Verify logs each text that it cannot parse
    signal.signal(signal.SIGPROF, _ring)
    parsed("1")
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))


def works() -> bool:
    """Whether this installation reads LaTeX, and its Math-Verify calls equal formulas equal."""
    try:
        verified = is_verified(parsed("x+1"), parsed("1+x"))
    except Exception:
        return False
    return verified and equal(r"2\sqrt{2}", r"\sqrt{8}")


def equal(gold: str, answer: str) -> bool:
    """Whether the answer is the gold one, in that order: x = 5 may be answered by 5."""
    signal.setitimer(signal.ITIMER_PROF, CPU_S)
    try:
        return says_the_same(read_statement(gold), read_statement(answer), ByAlgebra())
    except (Exception, _Late):  # what cannot be compared in time is not equal
        return False
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
