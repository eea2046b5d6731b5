"""How many processes the kernel has ended for want of memory since it started.

    kills()  ->  0

What it ends leaves no word, and its own log is mostly for root alone; the counter is for everybody.
"""

from pathlib import Path

COUNTERS = Path("/proc/vmstat")


def kills() -> int:
    """0 where there is no such counter (before Linux 4.13, or no Linux)."""
    try:
        counters = dict(line.split() for line in COUNTERS.read_text().splitlines())
    except (OSError, ValueError):
        return 0
    return int(counters.get("oom_kill", 0))
