"""A few of many: as evenly over their data_sources as they allow, and at least one of each.

few(rows, 8)            # the first ones
few(rows, 50, seed=1)   # at random, but the same ones every time
"""

import random
from collections.abc import Callable, Collection, Iterable, Mapping
from operator import attrgetter
from typing import Any, TypeVar

Item = TypeVar("Item")


def _quotas(sizes: Mapping[str, int], count: int) -> dict[str, int]:
    """The smallest first: what they cannot fill is left to the others."""
    quotas: dict[str, int] = {}
    for name in sorted(sizes, key=lambda name: sizes[name]):
        share = (count - sum(quotas.values())) // (len(sizes) - len(quotas))
        quotas[name] = min(sizes[name], max(1, share))
    return quotas


def _groups(
    items: Iterable[Item], label: Callable[[Any], str], most: int | None, expected: Collection[str]
) -> dict[str, list[Item]]:
    """most: of each, where any later one is not needed."""
    groups: dict[str, list[Item]] = {}
    missing = {name: most for name in expected}
    for item in items:
        group = groups.setdefault(name := label(item), [])
        if most is None or len(group) < most:
            group.append(item)
        if len(group) == most and missing.pop(name, None) and not missing:
            break
    return groups


def few(
    items: Iterable[Item],
    count: int,
    seed: int | None = None,
    label: Callable[[Any], str] = attrgetter("data_source"),
    expected: Collection[str] = (),
) -> list[Item]:
    """About `count` items, group by group, in their order.

    expected: labels after which no others come; without a seed the rest is then not read.
    """
    groups = _groups(items, label, count if seed is None else None, expected)
    quotas = _quotas({name: len(found) for name, found in groups.items()}, count)
    if seed is None:
        return [item for name, found in groups.items() for item in found[: quotas[name]]]
    chosen, picked = random.Random(seed), []
    for name, found in groups.items():
        places = sorted(chosen.sample(range(len(found)), quotas[name]))
        picked += [found[place] for place in places]
    return picked
