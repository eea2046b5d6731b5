"""One thing that a check has seen in the numbers.

    Sign("far above", "KL to the reference is 1.4 per token ...", 1.4)

kind: signs of one alert that differ are told one after the other, such as a KL that is above its
range and later far above. sentence: what is seen, with numbers, and what to do. value: the number
that the alert is about.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sign:
    kind: str
    sentence: str
    value: float


def steps(first: int, last: int) -> str:
    """`step 3`, `steps 3 to 7`."""
    return f"step {last}" if first == last else f"steps {first} to {last}"
