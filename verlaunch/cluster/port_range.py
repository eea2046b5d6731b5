"""The range of ports that a person gives for Ray: `20000-20999`.

Without one the kernel chooses, from net.ipv4.ip_local_port_range.
"""

import contextlib

from verlaunch.errors import UserError

LEAST = 200  # Ray takes one for each of its workers
LOWEST, HIGHEST = 1024, 65535


def read(text: str | None) -> tuple[int, int] | None:
    """First and last. Raises UserError."""
    if text is None:
        return None
    first, _, last = str(text).partition("-")
    with contextlib.suppress(ValueError):
        found = int(first), int(last)
        if found[0] >= LOWEST and found[1] <= HIGHEST and found[1] - found[0] + 1 >= LEAST:
            return found
    raise UserError(
        f"--port_range {text}: takes FIRST-LAST between {LOWEST} and {HIGHEST} with at least "
        f"{LEAST} ports, such as 20000-20999."
    )
