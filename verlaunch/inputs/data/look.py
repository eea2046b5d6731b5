"""A quick look at data before a run: row counts, labels, first rows, and every fault at once.

    look = quick_look(sources("data/sample_math.json"))
    print(look.rows, look.exact, look.problems)

No tokenizer, so nothing is said about lengths; hub datasets are named but not opened.
"""

from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from verlaunch.errors import UserError
from verlaunch.inputs.data.readers import EXAMPLE, records, usable
from verlaunch.inputs.data.rows import Row
from verlaunch.inputs.data.sources import Source
from verlaunch.text import plural

FIRST_ROWS = 8
MOST_ROLES = 12  # by which prompts are told apart


@dataclass
class Look:
    """exact: `rows` is the whole count; otherwise there are at least so many.

    shapes: of the orders of roles, how many rows and the first of them.
    dropped and data_sources count only the rows that were looked at; duplicates are not sought.
    """

    rows: int = 0
    exact: bool = True
    looked_at: int = 0
    first: list[Row] = field(default_factory=list)
    data_sources: Counter[str] = field(default_factory=Counter)
    unseen: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    shapes: dict[tuple[str, ...], tuple[int, Row]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def quick_look(sources: tuple[Source, ...], limit: int = 10_000) -> Look:
    """Reads at most `limit` rows over all sources; never raises for a fault in the data."""
    look = Look()
    for source in sources:
        try:
            _look_at(source, max(FIRST_ROWS, limit - look.looked_at), look)
        except UserError as error:
            look.problems += error.problems
    if not look.data_sources and look.exact and not look.problems:
        reasons = "; ".join(f"{n} x {reason}" for reason, n in look.dropped.most_common(5))
        names = ", ".join(Path(source.path).name for source in sources)
        none = f"none of {plural(look.rows, 'row')} can be used: {reasons}"
        look.problems.append(f"{names}: {none if reasons else 'no rows'}. A good row is {EXAMPLE}")
    return look


def _look_at(source: Source, limit: int, look: Look) -> None:
    if source.type == "hub":
        look.exact = False
        look.notes.append(f"{source.path} is a hub dataset; it is read when the run starts.")
        return
    seen, stream = 0, records(source)
    for row in usable(islice(stream, limit), source, look.dropped):
        seen += 1
        if row is not None:
            look.data_sources[row.data_source] += 1
            look.unseen.update(row.unseen)
            roles = tuple(message["role"] for message in row.prompt[:MOST_ROLES])
            count, first = look.shapes.get(roles, (0, row))
            look.shapes[roles] = (count + 1, first)
            look.first += [row] if len(look.first) < FIRST_ROWS else []
    look.looked_at += seen
    _count(source, seen, seen == limit and next(stream, None) is not None, look)


def _count(source: Source, seen: int, more: bool, look: Look) -> None:
    if more and source.type == "parquet":
        import pyarrow.parquet as pq

        seen = pq.read_metadata(Path(source.path).expanduser()).num_rows
        more = False
    look.rows += seen
    look.exact &= not more
