"""Which rows share a micro batch: rows of like length, so that little is computed for padding.

    cut([9, 2, 8, 2], budget=18, extra=4)   # [[0, 2], [1, 3]]: 18 and 4 tokens

A micro batch is padded to its longest row (transformer_impl.py:1271 of verl), so it holds its rows
times that length. verl cuts by the tokens of the rows alone and deals long and short ones alike
(utils/seqlen_balancing.py): of responses whose mean is a quarter of the limit, two tokens of three
are padding then. Rows end to end would need none, but without flash-attn transformers masks foreign
rows in the whole square of tokens, which on a CPU takes longer than the padding that is left here.
"""

from collections.abc import Sequence

import numpy as np

# What one more micro batch costs, in tokens: reading the weights and writing the gradients; and the
# operations of a pass, which take as long for a small model: divided by the parameters. Chosen, not
# fitted: on a CPU 16 to 256 tokens took about as long at 10 M parameters (what comes of it is in
# scripts/bench/cutting.py); on a GPU an estimate, 30 ms of launches at 200 TFLOP/s.
PASS = {"cpu": (64, 1e8), "cuda": (256, 1e12)}
# A full micro batch costs this share more per token than a small one, whose tensors stay in the
# caches: of cuts alike otherwise the even one is taken.
UNEVEN = 0.05


def overhead(device: str, parameters: int) -> int:
    """Of one more micro batch, in tokens."""
    weights, operations = PASS[device]
    return int(weights + operations / max(1, parameters))


def cut(lengths: Sequence[int], budget: int, extra: int, at_least: int = 1) -> list[list[int]]:
    """The rows of each micro batch, longest rows first: what does not fit fails at once.

    lengths: tokens of each row. budget: tokens of a micro batch, padding counted; a row that is
    longer has a micro batch of its own. extra: tokens that one more micro batch costs. at_least:
    micro batches, as far as there are rows.
    """
    order = np.argsort(-np.asarray(lengths), kind="stable")
    groups = [
        order[start:stop].tolist()
        for start, stop in _spans(np.asarray(lengths)[order], budget, extra)
    ]
    while len(groups) < min(at_least, len(lengths)):
        groups = _one_more(groups, lengths)
    return groups


def _spans(lengths: np.ndarray, budget: int, extra: int) -> list[tuple[int, int]]:
    """The cheapest cut of rows that are sorted, longest first, by where each part starts and ends.

    cost[i]: of the first i rows. A part that starts at row i is as long as that row.
    """
    rows = len(lengths)
    cost, start_of = np.full(rows + 1, np.inf), np.zeros(rows + 1, dtype=int)
    cost[0] = 0
    for start, longest in enumerate(lengths):
        most = min(rows - start, max(1, budget // longest))
        tokens = longest * np.arange(1, most + 1)
        found = cost[start] + extra + tokens * (1 + UNEVEN * tokens / budget)
        ends = slice(start + 1, start + most + 1)
        better = found < cost[ends]
        cost[ends][better] = found[better]
        start_of[ends][better] = start
    spans, stop = [], rows
    while stop:
        spans.append((int(start_of[stop]), stop))
        stop = int(start_of[stop])
    return spans[::-1]


def _one_more(groups: list[list[int]], lengths: Sequence[int]) -> list[list[int]]:
    """The largest that can be halved, halved."""
    largest = max(
        (group for group in groups if len(group) > 1),
        key=lambda group: len(group) * lengths[group[0]],
    )
    at, middle = groups.index(largest), len(largest) // 2
    return [*groups[:at], largest[:middle], largest[middle:], *groups[at + 1 :]]
