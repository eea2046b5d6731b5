"""Rows of the run's training data as its reward will see them, without preparing all of it.

    rows = rows_of(Inputs(config).sources()[0], count=50, seed=1)

They pass through the same readers and the same Arrow layout as in a run, so that `extra_info` has
the same types. Left out on purpose: duplicates and over-long prompts, which a run leaves out.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice

from rewards.part import Row
from verlaunch.errors import UserError
from verlaunch.inputs.data.layout import Columns, encode, final_table, pool_table
from verlaunch.inputs.data.messages import Dropped
from verlaunch.inputs.data.readers import records
from verlaunch.inputs.data.rows import MissingColumn, normalise
from verlaunch.inputs.data.rows import Row as DataRow
from verlaunch.inputs.data.sources import Source
from verlaunch.tools.score.pick import pick

LOOKED_AT = 10_000  # rows, over all files


def _read(source: Source, limit: int, dropped: Counter[str]) -> Iterator[DataRow]:
    first_missing = None
    any_good = False
    for where, record in islice(records(source), limit):
        try:
            row = normalise(record, source, where)
        except Dropped as reason:
            dropped[str(reason)] += 1
            continue
        except MissingColumn as missing:
            dropped["a column is missing in this row"] += 1
            first_missing = first_missing or missing
            continue
        any_good = True
        yield row
    if first_missing and not any_good:
        raise first_missing


def _as_in_training(rows: Sequence[DataRow], looked_at: Sequence[DataRow]) -> list[Row]:
    """rows: some of `looked_at`, over which the columns' types are learnt."""
    columns = Columns()
    columns.see(looked_at, [encode(row)[1] for row in looked_at])
    table = final_table(pool_table(rows, [encode(row)[1] for row in rows]), 0, "train", columns)
    return [
        Row(
            row["data_source"],
            "",
            row["reward_model"]["ground_truth"],
            row["extra_info"],
            tuple(row["prompt"]),
        )
        for row in table.to_pylist()
    ]


def rows_of(sources: Sequence[Source], count: int, seed: int) -> list[Row]:
    """About `count` rows, as evenly over the data_sources as they come. Raises UserError."""
    groups: dict[str, list[DataRow]] = {}
    dropped: Counter[str] = Counter()
    for source in sources:
        for row in _read(source, max(count, LOOKED_AT // len(sources)), dropped):
            groups.setdefault(row.data_source, []).append(row)
    if not groups:
        reasons = "; ".join(f"{n} x {reason}" for reason, n in dropped.most_common(5))
        raise UserError(f"No row of the data can be used: {reasons or 'no rows'}.")
    looked_at = [row for rows in groups.values() for row in rows]
    return _as_in_training(pick(groups, count, seed), looked_at)
