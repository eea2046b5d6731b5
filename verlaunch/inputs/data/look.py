"""A quick look at data before a run: row counts, labels, first rows, and every fault at once.

    look = quick_look(sources("data/sample_math.json"))
    print(look.rows, look.exact, look.problems)

No tokenizer, so nothing is said about lengths; hub datasets are named but not opened.
"""

from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from verlaunch.errors import UserError
from verlaunch.inputs.data.messages import Dropped
from verlaunch.inputs.data.readers import EXAMPLE, records
from verlaunch.inputs.data.rows import MissingColumn, Row, normalise
from verlaunch.inputs.data.sources import Source
from verlaunch.text import plural

FIRST_ROWS = 8


@dataclass(frozen=True)
class Look:
    """exact: `rows` is the whole count; otherwise there are at least so many.

    dropped and data_sources count only the rows that were looked at; duplicates are not sought.
    """

    rows: int
    exact: bool
    looked_at: int
    first: tuple[Row, ...]
    data_sources: dict[str, int]
    dropped: dict[str, int]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


class _Tally:
    def __init__(self) -> None:
        self.rows = self.looked_at = 0
        self.exact = True
        self.first: list[Row] = []
        self.labels: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.problems: list[str] = []
        self.notes: list[str] = []


def quick_look(sources: tuple[Source, ...], limit: int = 10_000) -> Look:
    """Reads at most `limit` rows over all sources; never raises for a fault in the data."""
    tally = _Tally()
    for source in sources:
        try:
            _look_at(source, max(FIRST_ROWS, limit - tally.looked_at), tally)
        except UserError as error:
            tally.problems += error.problems
    good = sum(tally.labels.values())
    if not good and tally.exact and not tally.problems:
        reasons = "; ".join(f"{n} x {reason}" for reason, n in tally.dropped.most_common(5))
        names = ", ".join(Path(source.path).name for source in sources)
        none = f"none of {plural(tally.rows, 'row')} can be used: {reasons}"
        tally.problems.append(f"{names}: {none if reasons else 'no rows'}. A good row is {EXAMPLE}")
    return Look(
        tally.rows, tally.exact, tally.looked_at, tuple(tally.first), dict(tally.labels),
        dict(tally.dropped), tuple(tally.problems), tuple(tally.notes),
    )  # fmt: skip


def _look_at(source: Source, limit: int, tally: _Tally) -> None:
    if source.type == "hub":
        tally.exact = False
        tally.notes.append(f"{source.path} is a hub dataset; it is read when the run starts.")
        return
    any_good = False
    seen = 0
    stream = records(source)
    for where, record in islice(stream, limit):
        seen += 1
        try:
            row = normalise(record, source, where)
        except Dropped as reason:
            tally.dropped[str(reason)] += 1
            continue
        except MissingColumn:
            if not any_good:
                raise
            tally.dropped["a column is missing in this row"] += 1
            continue
        any_good = True
        tally.labels[row.data_source] += 1
        tally.first += [row] if len(tally.first) < FIRST_ROWS else []
    tally.looked_at += seen
    _count(source, seen, seen == limit and next(stream, None) is not None, tally)


def _count(source: Source, seen: int, more: bool, tally: _Tally) -> None:
    if more and source.type == "parquet":
        import pyarrow.parquet as pq

        seen = pq.read_metadata(Path(source.path).expanduser()).num_rows
        more = False
    tally.rows += seen
    tally.exact &= not more
