"""Which rows stay and where they go: duplicates and the split, as masks over all rows.

    keep = firsts(digests)               # the first of equal prompts
    val = choose(keep, 256, seed=1)      # exactly 256 of those, the same ones every time

Works on 16-byte digests, so a million prompts take 16 MB.
"""

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
SHARE = 0.05
MOST = 256


def firsts(digests: bytes | bytearray) -> Mask:
    """True at the first row of each distinct digest. digests: 16 bytes per row."""
    words = np.frombuffer(digests, dtype=np.uint64).reshape(-1, 2)
    order = np.lexsort((words[:, 1], words[:, 0]))  # stable: equal digests stay in row order
    ordered = words[order]
    repeated = (ordered[1:] == ordered[:-1]).all(axis=1)
    mask = np.ones(len(words), dtype=bool)
    mask[order[1:][repeated]] = False
    return mask


def absent_from(digests: bytes | bytearray, others: bytes | bytearray) -> Mask:
    """firsts(digests), less the rows whose digest is also among `others`."""
    return firsts(bytes(others) + bytes(digests))[len(others) // 16 :]


def choose(among: Mask, size: int, seed: int) -> Mask:
    """Exactly `size` of the True rows, at random; all of them when there are no more."""
    rows = np.flatnonzero(among)
    if size < len(rows):
        rows = np.random.default_rng(seed).choice(rows, size, replace=False)
    mask = np.zeros(len(among), dtype=bool)
    mask[rows] = True
    return mask


def default_val_size(rows: int) -> int:
    return min(MOST, max(1, int(rows * SHARE)))
