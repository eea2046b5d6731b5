"""A few rows of the run's data as its reward will see them, before or after they are prepared.

    rows = rows_of(Inputs(config).sources().train, count=50, seed=1)
    rows = first_rows(Inputs(config).sources().train, look.data_sources)
    rows = prepared_rows(prepared.train_file)

Raw ones pass through the same readers and the same Arrow layout as in a run, so that `extra_info`
has the same types; an index of the row's own stays, any other is its number in the data. Left out
on purpose: duplicates, over-long and validation prompts, without which a run counts.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from rewards.part import Row
from verlaunch.errors import UserError
from verlaunch.inputs.data.layout import Columns, encode, final_table, pool_table
from verlaunch.inputs.data.readers import records, usable
from verlaunch.inputs.data.rows import Row as DataRow
from verlaunch.inputs.data.sources import Source
from verlaunch.plan.reward.trial.few import few

TRIED = 8  # rows, before a run
LOOKED_AT = 10_000  # raw rows, over all files
FIRST = 2000  # raw rows of a file, for a glance; prepared rows over all data_sources


def _read(source: Source, limit: int, dropped: Counter[str]) -> Iterator[DataRow]:
    for row in usable(islice(records(source), limit), source, dropped):
        try:
            if row is not None:
                encode(row)
                yield row
        except UnicodeEncodeError:
            dropped["broken Unicode"] += 1


def _as_in_training(
    rows: Sequence[DataRow], looked_at: Sequence[DataRow], numbers: Iterable[int]
) -> list[Row]:
    """rows: some of `looked_at`, over which the columns' types are learnt. numbers: of the rows
    in the data, which become the index of those that bring none."""
    columns = Columns()
    columns.see(looked_at, [encode(row)[1] for row in looked_at])
    pool = pool_table(rows, [encode(row)[1] for row in rows])
    table = final_table(pool, numbers, "train", columns)
    return [_row(row) for row in table.to_pylist()]


def _row(stored: Mapping[str, Any]) -> Row:
    truth = stored["reward_model"]["ground_truth"]
    return Row(stored["data_source"], "", truth, stored["extra_info"], tuple(stored["prompt"]))


def rows_of(sources: Sequence[Source], count: int, seed: int) -> list[Row]:
    """About `count` rows at random, of those at the beginning. Raises UserError."""
    dropped: Counter[str] = Counter()
    limit = max(count, LOOKED_AT // len(sources))
    looked_at = [row for source in sources for row in _read(source, limit, dropped)]
    if not looked_at:
        reasons = "; ".join(f"{n} x {reason}" for reason, n in dropped.most_common(5))
        raise UserError(f"No row of the data can be used: {reasons or 'no rows'}.")
    numbered = list(enumerate(looked_at))
    picked = few(numbered, count, seed, label=lambda pair: pair[1].data_source)
    return _as_in_training([row for _, row in picked], looked_at, [at for at, _ in picked])


def first_rows(sources: Sequence[Source], labels: Collection[str]) -> list[Row]:
    """The first good rows of each label, at a glance; none of what lies on a hub."""
    near = (source for source in sources if source.type != "hub")
    read = (row for source in near for row in _read(source, FIRST, Counter()))
    looked_at = list(islice(read, FIRST))
    numbered = enumerate(chain(looked_at, read))
    picked = few(numbered, TRIED, label=lambda pair: pair[1].data_source, expected=labels)
    rows = [row for _, row in picked]
    return _as_in_training(rows, [*looked_at, *rows], [at for at, _ in picked]) if rows else []


def prepared_rows(file: Path, count: int = FIRST) -> Iterator[Row]:
    """Wherever in the file the rows of a data_source begin."""
    with pq.ParquetFile(file, pre_buffer=False) as parquet:
        labels = parquet.read(["data_source"])["data_source"].to_pylist()
        wanted = sorted(at for at, _ in few(enumerate(labels), count, label=itemgetter(1)))
        first = 0
        for batch in parquet.iter_batches():
            here = [at - first for at in wanted if first <= at < first + len(batch)]
            yield from map(_row, batch.take(here).to_pylist() if here else ())
            first += len(batch)
