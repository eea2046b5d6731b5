"""First pass: every row read once, measured, and written to one file; nothing is kept in memory
but 20 bytes a row (its prompt's digest and length).

    pool = fill(sources, Path("pool.parquet"), meter, max_prompt_length, Columns(), progress)

Leaves out what needs all rows at once: duplicates and the split (see `prepare`).
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import pyarrow.parquet as pq

from verlaunch.errors import UserError
from verlaunch.inputs.data.chat import Meter
from verlaunch.inputs.data.layout import POOL, Columns, encode, pool_table
from verlaunch.inputs.data.readers import records, usable
from verlaunch.inputs.data.rows import Row
from verlaunch.inputs.data.sources import Source
from verlaunch.inputs.data.tables import BATCH

REFUSED = "refused by the chat template"
TOO_LONG = "prompt too long"
Progress = Callable[[int], None]


@dataclass
class Pool:
    """Usable rows on disk, in order. digests: 16 bytes each; lengths: tokens, 0 unmeasured."""

    path: Path
    columns: Columns
    read: int = 0
    digests: bytearray = field(default_factory=bytearray)
    lengths: array = field(default_factory=lambda: array("I"))
    too_long: array = field(default_factory=lambda: array("I"))
    dropped: Counter[str] = field(default_factory=Counter)
    unseen: Counter[str] = field(default_factory=Counter)
    without_answer: int = 0

    def __len__(self) -> int:
        return len(self.lengths)


def fill(
    sources: tuple[Source, ...],
    path: Path,
    meter: Meter | None,
    limit: int,
    columns: Columns,
    progress: Progress | None = None,
) -> Pool:
    """limit: most tokens of a prompt. Raises UserError when no row is usable, with the counts."""
    pool = Pool(path, columns)
    with pq.ParquetWriter(path, POOL) as writer:
        for source in sources:
            rows = _usable(source, pool)
            while batch := list(islice(rows, BATCH)):
                _add(pool, batch, meter, limit, writer)
                if progress is not None:
                    progress(pool.read)
    if not len(pool):
        raise UserError(_nothing(sources, pool, limit))
    return pool


def _usable(source: Source, pool: Pool) -> Iterator[Row]:
    for row in usable(records(source), source, pool.dropped):
        pool.read += 1
        if row is not None:
            yield row


def _add(
    pool: Pool, batch: list[Row], meter: Meter | None, limit: int, writer: pq.ParquetWriter
) -> None:
    rows: list[Row] = []
    encoded: list[tuple[bytes, str]] = []
    for row in batch:
        try:
            encoded.append(encode(row))
            rows.append(row)
        except UnicodeEncodeError:  # half a surrogate pair, which JSON can spell
            pool.dropped["broken Unicode"] += 1
    lengths = meter.lengths([row.prompt for row in rows]) if meter else [0] * len(rows)
    if meter and None in lengths:
        refused = [row.prompt for row, n in zip(rows, lengths, strict=True) if n is None]
        pool.dropped.update(meter.refusal(prompt) or REFUSED for prompt in refused)
    fits = [_fits(pool, length, limit) for length in lengths]
    rows = [row for row, ok in zip(rows, fits, strict=True) if ok]
    pool.lengths.extend(n for n, ok in zip(lengths, fits, strict=True) if ok and n is not None)
    kept = [pair for pair, ok in zip(encoded, fits, strict=True) if ok]
    extras = [extra for _, extra in kept]
    pool.digests += b"".join(digest for digest, _ in kept)
    pool.unseen.update(name for row in rows for name in row.unseen)
    pool.without_answer += sum(not row.ground_truth for row in rows)
    pool.columns.see(rows, extras)
    if rows:
        writer.write_table(pool_table(rows, extras))


def _fits(pool: Pool, length: int | None, limit: int) -> bool:
    if length is None:  # counted under the template's words
        return False
    if length > limit:
        pool.dropped[TOO_LONG] += 1
        pool.too_long.append(length)
        return False
    return True


def _nothing(sources: tuple[Source, ...], pool: Pool, limit: int) -> str:
    names = ", ".join(source.path for source in sources[:3]) + (" ..." if sources[3:] else "")
    if not pool.read:
        return f"{names}: no rows."
    reasons = "; ".join(f"{n} x {reason}" for reason, n in pool.dropped.most_common(5))
    text = f"{names}: none of {pool.read} rows can be used: {reasons}."
    if pool.too_long:
        lengths = sorted(pool.too_long)
        text += (
            f" In tokens: shortest {lengths[0]}, median {lengths[len(lengths) // 2]}, longest "
            f"{lengths[-1]}; allowed {limit}. Raise it: --max_prompt_length {lengths[-1]}."
        )
    return text
