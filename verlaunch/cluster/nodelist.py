"""Slurm's short form of many host names, written out.

    hosts("gpu[08-10,12],x[1-2]-ib")  ->  ["gpu08", "gpu09", "gpu10", "gpu12", "x1-ib", "x2-ib"]

In Slurm's order, in which the first host is node 0. `scontrol show hostnames` does the same, but a
container seldom has it.
"""

import re

HOST = r"(?:[^\s,\[\]]|\[\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*\])+"


def hosts(nodelist: str) -> list[str]:
    """Empty for what is no such list."""
    if not re.fullmatch(f"{HOST}(?:,{HOST})*", nodelist.strip()):
        return []
    return [host for part in re.findall(HOST, nodelist) for host in _written_out(part)]


def _written_out(part: str) -> list[str]:
    head, bracket, rest = part.partition("[")
    if not bracket:
        return [part]
    numbers, _, tail = rest.partition("]")
    return [head + number + more for number in _numbers(numbers) for more in _written_out(tail)]


def _numbers(text: str) -> list[str]:
    """ "08-10,12" -> 08, 09, 10, 12: as wide as the first of each range."""
    ends = [piece.partition("-") for piece in text.split(",")]
    return [
        f"{number:0{len(first)}d}"
        for first, _, last in ends
        for number in range(int(first), int(last or first) + 1)
    ]
