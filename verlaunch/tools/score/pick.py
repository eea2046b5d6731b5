"""A few of many: as evenly over groups as they allow, at random but the same ones every time.

pick({"a": [1, 2, 3], "b": [9]}, 3, seed=1)   # two of "a", the one of "b"
"""

import random
from collections.abc import Mapping, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def _quotas(sizes: Mapping[str, int], count: int) -> dict[str, int]:
    """The smallest first: what they cannot fill is left to the others. At least one of each."""
    quotas: dict[str, int] = {}
    for name in sorted(sizes, key=lambda name: sizes[name]):
        share = (count - sum(quotas.values())) // (len(sizes) - len(quotas))
        quotas[name] = min(sizes[name], max(1, share))
    return quotas


def pick(groups: Mapping[str, Sequence[Item]], count: int, seed: int) -> list[Item]:
    """About `count` items, group by group, in their order."""
    quotas = _quotas({name: len(items) for name, items in groups.items()}, count)
    chosen = random.Random(seed)
    picked = []
    for name, items in groups.items():
        places = sorted(chosen.sample(range(len(items)), quotas[name]))
        picked += [items[place] for place in places]
    return picked
